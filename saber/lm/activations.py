"""Capture: the residual stream at the last prompt token, of the model as it stands or as T plans edit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from saber.lm.adapter import Adapter
from saber.lm.batches import by_length, pad_left, tokenise
from saber.lm.editing import applied
from saber.types import Activations, EditPlan, ProbeSet, Prompt


@contextmanager
def capture(
    modules: Mapping[Any, nn.Module], *, with_input: bool = False, copy: bool = False
) -> Iterator[dict[Any, Any]]:
    """Record what each module puts out while inside, by its key; of several calls the last stays.

    With ``with_input`` the record is (hidden states in, output). ``copy`` keeps it from what is later done in place.
    """
    seen: dict[Any, Any] = {}

    def hook_for(key: Any) -> Any:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            kept: tuple[Tensor, ...] = (first,)
            if with_input:
                kept = (args[0] if args else kwargs["hidden_states"], first)
            if copy:
                kept = tuple(tensor.clone() for tensor in kept)
            seen[key] = kept if with_input else kept[0]

        return hook

    with ExitStack() as hooks:
        for key, module in modules.items():
            hooks.callback(module.register_forward_hook(hook_for(key), with_kwargs=True).remove)
        yield seen


@torch.inference_mode()
def last_token_residuals(
    adapter: Adapter, prompts: Sequence[Prompt], *, batch_size: int, n_trials: int = 1
) -> Float[Tensor, "trial layer prompt d_model"]:
    """Residual stream after every block at the last prompt token, fp32 on the model's device."""
    rows = tokenise(adapter, prompts)
    out = torch.empty(n_trials, adapter.n_layers, len(rows), adapter.d_model, device=adapter.device)
    with capture(dict(enumerate(adapter.blocks))) as seen:
        for indices in by_length(rows, max(1, batch_size // n_trials)):
            batch = pad_left(adapter, [rows[i] for i in indices]).for_trials(n_trials)
            adapter.model(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                use_cache=False,
                logits_to_keep=1,
            )
            for layer in range(adapter.n_layers):
                last = adapter.stream(seen[layer])[:, -1].float()
                out[:, layer, indices] = last.view(n_trials, len(indices), -1).to(out.device)
    return out


def probe(
    adapter: Adapter, probes: ProbeSet, *, batch_size: int, plans: Sequence[EditPlan] | None = None
) -> list[Activations]:
    """Activations of a probe set under each plan, in one pass for all; of the unedited model without plans."""
    prompts = [*probes.harmful, *probes.harmless, *probes.capability]
    sizes = [len(probes.harmful), len(probes.harmless), len(probes.capability)]
    if plans is None:
        captured = last_token_residuals(adapter, prompts, batch_size=batch_size)
    else:
        with applied(adapter, plans):
            captured = last_token_residuals(adapter, prompts, batch_size=batch_size, n_trials=len(plans))
    return [Activations(*trial.split(sizes, dim=1)) for trial in captured]
