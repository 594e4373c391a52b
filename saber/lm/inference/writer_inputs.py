"""What goes into writers, and what comes out, at chosen positions of given sequences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.architecture.capture import capture
from saber.lm.inference.batches import by_length, pad_left, pass_tokens
from saber.types import LookedAt, WriterInputs


class _Collected:
    """What is seen of some writers so far, by row; it is told before each pass where its rows are."""

    def __init__(self, adapter: Adapter, rows: LookedAt, writers: Sequence[Writer]) -> None:
        self.writers = {writer.place: writer for writer in writers}
        self.n_prompts = rows.n_prompts
        self.read = {
            place: torch.zeros(rows.n_rows, read_width(adapter, writer), device=writer.device)
            for place, writer in self.writers.items()
        }
        self.outputs = {
            place: torch.zeros(rows.n_prompts, adapter.d_model, device=writer.device)
            for place, writer in self.writers.items()
        }
        self._where: tuple[int, Tensor, Tensor, Tensor] | None = None

    def expect(self, n_sequences: int, sequence: list[int], from_end: list[int], row: list[int]) -> None:
        """Say that row ``row[i]`` is in the ``sequence[i]``-th one of the next pass, so far from its last column."""
        self._where = n_sequences, torch.tensor(sequence), torch.tensor(from_end), torch.tensor(row)

    def take(self, place: str, record: tuple[Tensor, Tensor]) -> None:
        """Keep the rows that were announced; modules may see tokens of all sequences in one row of columns."""
        if self._where is None:
            return
        n_sequences, sequence, from_end, row = self._where
        writer = self.writers[place]
        entering, leaving = record
        by_expert = leaving.reshape(writer.n_expert_groups, n_sequences, -1, leaving.shape[-1])
        put_out = by_expert.sum(dim=0) if writer.n_expert_groups > 1 else by_expert[0]
        read = put_out if writer.fused else entering.reshape(n_sequences, -1, entering.shape[-1])
        column = read.shape[1] - 1 - from_end
        self.read[place][row] = read[sequence, column].float().to(writer.device)
        ends = row < self.n_prompts
        self.outputs[place][row[ends]] = put_out[sequence[ends], column[ends]].float().to(writer.device)


@torch.inference_mode()
def writer_inputs(adapter: Adapter, rows: LookedAt, writers: Sequence[Writer], *, batch_size: int) -> WriterInputs:
    """Look at some writers of the model as it stands, edited or not, without computing a logit."""
    collected = _Collected(adapter, rows, writers)
    tokens = [row.tokens for row in rows.sequences]
    first = [0]
    for sequence in rows.sequences:
        first.append(first[-1] + len(sequence.positions))
    with capture({writer.place: writer.module for writer in writers}, with_input=True, take=collected.take):
        for indices in by_length([len(token) for token in tokens], lambda _: batch_size, pass_tokens(adapter)):
            seen = [(n, i, k) for n, i in enumerate(indices) for k in range(len(rows.sequences[i].positions))]
            collected.expect(
                len(indices),
                [n for n, _, _ in seen],
                [len(tokens[i]) - 1 - rows.sequences[i].positions[k] for _, i, k in seen],
                [first[i] + k for _, i, k in seen],
            )
            batch = pad_left(adapter, [tokens[i] for i in indices])
            adapter.model.base_model(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                use_cache=False,
            )
    return WriterInputs(rows, collected.read, collected.outputs)


def read_width(adapter: Adapter, writer: Writer) -> int:
    """The width of what a writer is read by: of its input, or of the output of fused experts."""
    return adapter.d_model if writer.fused else writer.d_in


def bytes_taken(adapter: Adapter, rows: LookedAt, writers: Sequence[Writer]) -> int:
    """What `writer_inputs` holds, with the inner products of its rows where there are fewer rows than columns."""
    total = 0
    for writer in writers:
        width = read_width(adapter, writer)
        total += 4 * (rows.n_rows * width + rows.n_prompts * adapter.d_model)
        total += 8 * rows.n_rows**2 if rows.n_rows < width else 0
    return total
