"""The residual stream at one token of every prompt, of the model as it stands or as T plans edit it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.capture import capture
from saber.lm.editing.apply import applied
from saber.lm.editing.compiled import CompiledPlan
from saber.lm.inference.batches import by_length, pad_left, pass_tokens
from saber.lm.inference.kv_cache import rewindable_cache
from saber.lm.inference.positions import rows_to_read
from saber.lm.inference.prefix import prefix_of
from saber.types import Activations, EditPlan, ProbeSet, Prompt


class LastTokens:
    """The residual stream at the last prompt token, (trial, layer, prompt, d_model), from whichever passes see it.

    Before a pass it is told where in it prompts end; without that a pass is not looked at.
    """

    def __init__(self, adapter: Adapter, n_trials: int, n_prompts: int) -> None:
        self._adapter = adapter
        self.residuals = torch.zeros(n_trials, adapter.n_layers, n_prompts, adapter.d_model, device=adapter.device)
        self._where: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Look at the passes of the model while inside."""
        with capture(dict(enumerate(self._adapter.blocks)), take=self._take):
            yield

    def expect(self, ends: Sequence[tuple[int, int]], from_end: Sequence[int], n_rows: int) -> None:
        """Say that in the next pass row r of (r, prompt) has its prompt's last token so many columns from the end."""
        device = self._adapter.device
        row, prompt = torch.tensor(list(ends), dtype=torch.long, device=device).view(-1, 2).T
        trial = row // (n_rows // len(self.residuals))
        self._where = (row, torch.tensor(list(from_end), dtype=torch.long, device=device), trial, prompt)

    def _take(self, layer: int, output: Tensor) -> None:
        if self._where is None:
            return
        row, from_end, trial, prompt = self._where
        stream = self._adapter.stream(output)
        last = stream[row.to(stream.device), (stream.shape[1] - from_end).to(stream.device)]
        self.residuals[trial, layer, prompt] = last.float().to(self.residuals.device)
        if layer == self._adapter.n_layers - 1:
            self._where = None


@torch.inference_mode()
def last_token_residuals(
    adapter: Adapter, prompts: Sequence[Prompt], *, batch_size: int, n_trials: int = 1
) -> Float[Tensor, "trial layer prompt d_model"]:
    """Residual stream after every block at the last prompt token, or the adapter's other position, fp32."""
    rows = rows_to_read(adapter, prompts)
    seen = LastTokens(adapter, n_trials, len(rows))
    with seen.gathering():
        prefix = prefix_of(rows, lambda: rewindable_cache(adapter, n_trials)).read(adapter, n_trials)
        for indices in by_length(
            [len(row) for row in rows], lambda _: max(1, batch_size // n_trials), pass_tokens(adapter)
        ):
            batch = pad_left(adapter, [rows[i] for i in indices]).for_trials(n_trials)
            n_rows = len(batch.input_ids)
            seen.expect(list(enumerate(indices * n_trials)), [1] * n_rows, n_rows)
            adapter.model(**prefix.inputs(batch), use_cache=prefix.cache is not None, logits_to_keep=1)
    return seen.residuals


def probe(
    adapter: Adapter, probes: ProbeSet, *, batch_size: int, plans: Sequence[EditPlan | CompiledPlan] | None = None
) -> list[Activations]:
    """Activations of a probe set under each plan, in one pass for all; of the unedited model without plans."""
    kinds = [probes.harmful, probes.harmless, probes.capability, probes.borderline]
    prompts, sizes = [prompt for kind in kinds for prompt in kind], [len(kind) for kind in kinds]
    if plans is None:
        captured = last_token_residuals(adapter, prompts, batch_size=batch_size)
    else:
        with applied(adapter, plans):
            captured = last_token_residuals(adapter, prompts, batch_size=batch_size, n_trials=len(plans))
    trials = [trial.split(sizes, dim=1) for trial in captured]
    labels = probe_labels(probes, captured.device)
    return [
        Activations(harmful, harmless, capability, seen if probes.borderline else None, **labels)
        for harmful, harmless, capability, seen in trials
    ]


def probe_labels(probes: ProbeSet, device: torch.device) -> dict[str, Bool[Tensor, " _"]]:
    """Which harmful probes are protected and which borderline ones refused, as `Activations` has them."""
    labels = {"is_protected": torch.tensor(probes.is_protected, device=device)}
    return {**labels, "is_refused": torch.tensor(probes.is_refused, device=device)} if probes.borderline else labels
