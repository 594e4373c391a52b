"""What is seen of a study's base at the probes, before any trial: thoughts, activations, inputs of writers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from saber.cache import Cached, cached
from saber.config import Config, EvaluateConfig
from saber.console import announce
from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.base_thoughts import base_thoughts
from saber.lm.inference.positions import read_at
from saber.lm.inference.residuals import probe, probe_labels
from saber.lm.input_reading import InputReading
from saber.study.probed_inputs import in_memory, input_reading
from saber.study.search.space import Knob, extremes
from saber.types import Activations, ProbeSet, UserError, digest_json
from saber.vocabulary import Position

UNREAD_THOUGHT = (
    "prompts are read where the thought begins; edit.position=end_of_thought reads where the answer does, by which"
    " refusals are moved far more easily where they are decided in the thought (docs/formats.md)"
)


@dataclass(frozen=True, eq=False)
class Probed:
    """The base at one position of the largest probe set: its activations, and what its writers are given if read."""

    activations: Activations
    inputs: InputReading | None = None


def at_every_position(
    adapter: Adapter, probes: ProbeSet, config: Config, knobs: Sequence[Knob], folder: Path, digest: str
) -> tuple[Adapter, dict[Position, Probed]]:
    """The adapter, with the base's thoughts if they are read, and what is seen of the probes at a study's positions.

    Raises:
        UserError: a thought's end is read, and the model is not to think.
    """
    positions: tuple[Position, ...] = (config.edit.position, *extremes("edit.position", knobs, config))
    thinking = adapter.chat.thinking
    if "end_of_thought" in positions:
        adapter = replace(adapter, thoughts=_thoughts(adapter, probes, config, folder, digest))
    elif thinking is not None and thinking.mode == "on":
        announce(UNREAD_THOUGHT)
    return adapter, {
        position: _probed(read_at(adapter, position), probes, config, knobs, folder, digest)
        for position in dict.fromkeys(positions)
    }


def check_positions(config: Config, knobs: Sequence[Knob]) -> None:
    """Pass where no trial reads at the end of a thought, or the model may have one.

    Raises:
        UserError: it is kept from thinking.
    """
    mode = config.model.thinking
    if mode in ("off", "closed") and "end_of_thought" in extremes("edit.position", knobs, config):
        raise UserError(
            f"edit.position=end_of_thought: expected a model that is to think, found model.thinking={mode}; set"
            " model.thinking=on, or edit.position=last"
        )


def _probed(
    adapter: Adapter, probes: ProbeSet, config: Config, knobs: Sequence[Knob], folder: Path, digest: str
) -> Probed:
    """What is seen of the probes at the adapter's position, from the study's cache or computed."""
    activations = _activations(adapter, probes, config, folder, digest)
    return Probed(activations, input_reading(adapter, probes, config, knobs, folder=folder, model_digest=digest))


def _thoughts(
    adapter: Adapter, probes: ProbeSet, config: Config, folder: Path, digest: str
) -> dict[str, tuple[int, ...]]:
    """What the base thinks of each probe, from the study's cache or decoded."""
    prompts = [*probes.harmful, *probes.harmless, *probes.capability, *probes.borderline]

    def think(profile: EvaluateConfig) -> dict[str, tuple[int, ...]]:
        return base_thoughts(
            adapter,
            prompts,
            max_thinking_tokens=profile.max_thinking_tokens,
            batch_size=profile.batch_size,
            folder=folder,
            key={"model": digest, "dtype": str(adapter.dtype)},
        )

    return in_memory(config, think)


def _activations(adapter: Adapter, probes: ProbeSet, config: Config, folder: Path, digest: str) -> Activations:
    """The unedited activations, cached under the model, the template, the prompts and the dtype."""
    kinds = [probes.harmful, probes.harmless, probes.capability, *([probes.borderline] if probes.borderline else [])]
    prompts = [[p.text for p in kind] for kind in kinds]
    key: dict[str, object] = {
        "model": digest,
        "prompts": digest_json(prompts),
        "template": adapter.tokenizer.chat_template,
        "system": adapter.system_prompt,
        "dtype": str(adapter.dtype),
    }
    if adapter.chat.described:
        key["chat"] = adapter.chat.described
    if adapter.position != "last":
        key |= {"position": adapter.position, "thoughts": digest_json(sorted(adapter.thoughts.items()))}

    def build() -> Cached:
        (activations,) = in_memory(config, lambda profile: probe(adapter, probes, batch_size=profile.batch_size))
        seen = {"harmful": activations.harmful, "harmless": activations.harmless, "capability": activations.capability}
        return Cached(seen if activations.borderline is None else {**seen, "borderline": activations.borderline}, None)

    tensors = cached(folder, "activations", key, build).tensors
    # Cloned, whether built or read: another place in memory gives other last bits, and so other plans after a restart.
    on_device = {name: t.clone(memory_format=torch.contiguous_format).to(adapter.device) for name, t in tensors.items()}
    return Activations(**on_device, **probe_labels(probes, adapter.device))
