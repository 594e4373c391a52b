"""What goes into the writers of a study's base: which of them are looked at, and on which probes, cached on disk."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from saber.cache import Cached, cached
from saber.config import Config, EditConfig, EvaluateConfig
from saber.console import announce
from saber.keys import value_of, with_values
from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.evaluation.looked_at import look_at, replied_harmful
from saber.lm.inference.oom import with_fewer_rows
from saber.lm.inference.writer_inputs import bytes_taken, writer_inputs
from saber.lm.input_reading import InputReading, bytes_of_sums
from saber.study.search.space import Knob, extremes
from saber.types import WRITER_KINDS, LookedAt, ProbeSet, WriterInputs

T = TypeVar("T")
# What decides which rows count, and how much: where none of it is searched, the sums of a study are all alike.
POPULATION_KEYS = (
    "data.n_probe",
    "data.n_capability",
    "data.n_borderline",
    "edit.contrast",
    "edit.spares",
    "edit.protects",
    "edit.inputs.replies",
    "edit.inputs.protected_weight",
)


def input_reading(
    adapter: Adapter, probes: ProbeSet, config: Config, knobs: Sequence[Knob], *, folder: Path, model_digest: str
) -> InputReading | None:
    """What the trials of a study read of inputs at the adapter's position, captured or from the caches in ``folder``.

    Nothing where no trial reads inputs.

    Raises:
        UserError: a probe exceeds the model's context, or the folder cannot be written.
    """
    edits = possible_edits(knobs, config)
    if not any(edit.reader == "inputs" for edit in edits):
        return None
    replies, kept = max(extremes("edit.inputs.replies", knobs, config)), replied_harmful(probes, edits)

    def rows(profile: EvaluateConfig) -> LookedAt:
        return look_at(adapter, probes, profile, replies=replies, kept=kept, cache=folder, model_digest=model_digest)

    if any(probes.is_protected) and adapter.position == config.edit.position:  # once, wherever else they are read
        spoken = {
            "categories": "are spared; edit.protects=none takes them away too",
            "none": "are taken away like any other, as edit.protects=none says",
        }
        how = [spoken[protects] for protects in extremes("edit.protects", knobs, config)]
        announce(f"refusals in protected categories, {sum(probes.is_protected)} of the probes, {' or '.join(how)}")
    writers = acting_writers(adapter, knobs, config)
    looked_at, is_steady = in_memory(config, rows), not any(knob.key in POPULATION_KEYS for knob in knobs)
    sums = bytes_of_sums(adapter, looked_at, writers, is_steady=is_steady) / 2**30
    captured = _captured(adapter, looked_at, writers, config, folder, model_digest, sums)
    return InputReading.of(captured, probes, is_steady=is_steady)


def possible_edits(knobs: Sequence[Knob], config: Config) -> list[EditConfig]:
    """The edits of a study in all that decides which probes are looked at, and how."""
    keys = ("edit.reader", "edit.contrast", "edit.spares", "edit.protects")
    combinations = itertools.product(*(dict.fromkeys(_possible(key, knobs, config)) for key in keys))
    return [with_values(config, dict(zip(keys, values, strict=True))).edit for values in combinations]


def _possible(key: str, knobs: Sequence[Knob], config: Config) -> tuple[Any, ...]:
    """What a key can be: the ends of what is searched, and as configured where a scale is found with that first."""
    configured = (value_of(config, key),) if config.study.find_scale else ()
    return (*extremes(key, knobs, config), *configured)


def acting_writers(adapter: Adapter, knobs: Sequence[Knob], config: Config) -> list[Writer]:
    """The writers that a trial of a study can edit, by its band of layers and its scale of each kind."""
    low = min(_possible("edit.acting_band.low", knobs, config))
    high = max(_possible("edit.acting_band.high", knobs, config))
    scales = {kind: max(_possible(f"edit.component_scale.{kind}", knobs, config)) for kind in WRITER_KINDS}
    last = max(adapter.n_layers - 1, 1)
    return [w for w in adapter.writers if scales[w.kind] > 0.0 and low <= w.layer / last <= high]


def _captured(
    adapter: Adapter,
    rows: LookedAt,
    writers: Sequence[Writer],
    config: Config,
    folder: Path,
    digest: str,
    sums: float,
) -> WriterInputs:
    """What goes into the writers, cached under the model, the sequences, their positions and the writers.

    Before it is captured it is said what it takes, and how many GB ``sums`` over it will.
    """
    key = {
        "model": digest,
        "rows": rows.digest,
        "dtype": str(adapter.dtype),
        "writers": [writer.place for writer in writers],
    }

    def build() -> Cached:
        size = bytes_taken(adapter, rows, writers) / 2**30
        announce(
            f"inputs of {len(writers)} writers at {rows.n_rows} positions take {size:.2f} GB of memory and disk,"
            f" sums over them up to {sums:.2f} GB of memory"
        )
        captured = in_memory(config, lambda p: writer_inputs(adapter, rows, writers, batch_size=p.batch_size))
        read = {f"read.{place}": tensor for place, tensor in captured.read.items()}
        return Cached(read | {f"outputs.{place}": tensor for place, tensor in captured.outputs.items()}, None)

    tensors = cached(folder, "inputs", key, build).tensors
    on_device = {
        what: {w.place: tensors[f"{what}.{w.place}"].clone().to(w.device) for w in writers}
        for what in ("read", "outputs")
    }
    return WriterInputs(rows, on_device["read"], on_device["outputs"])


def in_memory(config: Config, run: Callable[[EvaluateConfig], T]) -> T:
    """Run something under the configured protocol, in as large batches as memory has room for."""
    size = config.evaluate.batch_size
    return with_fewer_rows(lambda rows: run(replace(config.evaluate, batch_size=rows)), size, announce)
