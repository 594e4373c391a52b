"""ARA on a model that is loaded here: what its writers saw, and the weights of a trial by the names of its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from peers.ara import Seen, Settings, edited
from torch import Tensor

from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.capture import capture
from saber.lm.architecture.writer import Writer
from saber.lm.inference.batches import pad_left, tokenise
from saber.types import Prompt

PROMPTS_AT_ONCE = 32
KINDS = ("attention", "mlp")  # what Heretic edits
SeenByPlace = Mapping[tuple[int, str], Seen]


def ablated(
    adapter: Adapter, harmless: SeenByPlace, harmful: SeenByPlace, of: Settings, seed: int
) -> dict[str, Tensor]:
    """The new weights of a trial by the names of the model's state."""
    weights = edited(writer_weights(adapter), harmless, harmful, of, seed)
    modules = {module: name for name, module in adapter.model.named_modules()}
    return {
        f"{modules[writer.module]}.weight": weights[writer.layer, writer.name].contiguous()
        for writer in writers_of(adapter)
        if (writer.layer, writer.name) in weights
    }


def writers_of(adapter: Adapter) -> list[Writer]:
    """The writers that are edited: those of attention and of MLPs."""
    return [writer for writer in adapter.writers if writer.kind in KINDS]


def writer_weights(adapter: Adapter) -> dict[tuple[int, str], Tensor]:
    """The weight of each writer by its layer and name."""
    return {(writer.layer, writer.name): writer.weight.detach() for writer in writers_of(adapter)}


@torch.no_grad()  # not inference mode: what is seen is differentiated through
def seen_by_writers(adapter: Adapter, prompts: Sequence[Prompt]) -> dict[tuple[int, str], Seen]:
    """Inputs and outputs of every writer at the last token of each prompt, fp32."""
    rows = tokenise(adapter, list(prompts))
    writers = {(writer.layer, writer.name): writer.module for writer in writers_of(adapter)}
    pieces: dict[tuple[int, str], list[tuple[Tensor, Tensor]]] = {key: [] for key in writers}
    for start in range(0, len(rows), PROMPTS_AT_ONCE):
        batch = pad_left(adapter, rows[start : start + PROMPTS_AT_ONCE])
        with capture(writers, with_input=True) as seen:
            adapter.model(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                logits_to_keep=1,
                use_cache=False,
            )
        for key, (x, y) in seen.items():
            pieces[key].append((x[:, -1].float().clone(), y[:, -1].float().clone()))
    return {
        key: Seen(torch.cat([x for x, _ in pairs]).clone(), torch.cat([y for _, y in pairs]).clone())
        for key, pairs in pieces.items()
    }
