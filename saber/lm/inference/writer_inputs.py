"""What goes into writers, and what comes out, at chosen positions of given sequences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.architecture.capture import capture
from saber.lm.inference.batches import by_length, pad_left, pass_tokens
from saber.lm.inference.kv_cache import rewindable_cache
from saber.lm.inference.prefix import prefix_of
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
    """Look at some writers of the model as it stands, edited or not, without computing a logit.

    What all sequences begin with is read once, and a prompt that is looked at within its own reply is read there.
    """
    collected = _Collected(adapter, rows, writers)
    places = _places(rows)
    tokens = list(places)
    with capture({writer.place: writer.module for writer in writers}, with_input=True, take=collected.take):
        prefix = prefix_of([s.tokens for s in rows.sequences], lambda: rewindable_cache(adapter, 1)).read(adapter, 1)
        for indices in by_length([len(token) for token in tokens], lambda _: batch_size, pass_tokens(adapter)):
            seen = [(n, i, position, row) for n, i in enumerate(indices) for position, row in places[tokens[i]]]
            collected.expect(
                len(indices),
                [n for n, *_ in seen],
                [len(tokens[i]) - 1 - position for _, i, position, _ in seen],
                [row for *_, row in seen],
            )
            batch = pad_left(adapter, [tokens[i] for i in indices])
            adapter.model.base_model(**prefix.inputs(batch), use_cache=prefix.cache is not None)
    return WriterInputs(rows, collected.read, collected.outputs)


def _places(rows: LookedAt) -> dict[tuple[int, ...], list[tuple[int, int]]]:
    """By sequence that is read, the positions in it that are looked at and the rows that these are."""
    replies = {(sequence.kind, sequence.prompt): sequence.tokens for sequence in rows.sequences if sequence.is_reply}
    places: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    first = 0
    for sequence in rows.sequences:
        whole = replies.get((sequence.kind, sequence.prompt), sequence.tokens)
        read = whole if whole[: len(sequence.tokens)] == sequence.tokens else sequence.tokens
        places.setdefault(read, []).extend((at, first + k) for k, at in enumerate(sequence.positions))
        first += len(sequence.positions)
    return places


def read_width(adapter: Adapter, writer: Writer) -> int:
    """The width of what a writer is read by: of its input, or of the output of fused experts."""
    return adapter.d_model if writer.fused else writer.d_in


def bytes_taken(adapter: Adapter, rows: LookedAt, writers: Sequence[Writer]) -> int:
    """What `writer_inputs` holds."""
    return sum(4 * (rows.n_rows * read_width(adapter, w) + rows.n_prompts * adapter.d_model) for w in writers)
