"""The workbench: a loaded model with everything that trials share, computed once and cached on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from saber.config import Config, EvaluateConfig
from saber.console import announce, terminal, training_bar
from saber.keys import with_values
from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.verify import verify_writers
from saber.lm.architecture.weights import weights_digest
from saber.lm.editing.packed import packed_note
from saber.lm.evaluation.borderline_labels import label_borderline, require_both, require_protected
from saber.lm.evaluation.fewer_prompts import of_fewer
from saber.lm.evaluation.measurement import Measured, label, measure_trials
from saber.lm.evaluation.protocol import ordered
from saber.lm.evaluation.reference import Reference, make_reference
from saber.lm.inference.positions import read_at
from saber.lm.input_reading import InputReading
from saber.lm.loading.load import load_as, quiet
from saber.lm.steps import Steps
from saber.organism.build import Recipe, ensure_organism
from saber.study.chat_recognition import recognised
from saber.study.preflight import Ready, preflight
from saber.study.probed_base import Probed, at_every_position
from saber.study.probed_inputs import in_memory, possible_edits
from saber.study.sanity import judge_base, judge_vocabulary, stop_or_warn
from saber.study.search.space import Knob, probe_sizes
from saber.types import PROMPT_KINDS, Activations, EditPlan, ProbeSet, Response, Split, SplitName
from saber.vocabulary import Position

ORGANISM = "organism"


@dataclass(frozen=True, eq=False)
class Workbench:
    """The base model, its data, what was seen of its probes, and its tune reference.

    ``probed`` is what was seen at the configured ``edit.position``, ``by_position`` at every one that is searched.
    ``steps`` are how trials are planned.
    """

    config: Config
    adapter: Adapter
    model_digest: str
    splits: Mapping[SplitName, Split]
    probes: ProbeSet
    probed: Probed
    reference: Reference
    folder: Path
    by_position: Mapping[Position, Probed] = field(default_factory=dict)
    steps: Steps = field(default_factory=Steps)

    @property
    def activations(self) -> Activations:
        """The base's own activations at the configured position."""
        return self.probed.activations

    @property
    def inputs(self) -> InputReading | None:
        """What the base's writers are given at the configured position, nothing where no trial reads that."""
        return self.probed.inputs

    def read_at(self, position: Position) -> tuple[Adapter, Probed]:
        """The model as it is probed at a position, and what was seen of the base there."""
        return read_at(self.adapter, position), self.by_position.get(position, self.probed)

    @cached_property
    def base_tune(self) -> Measured:
        """The unedited model itself, measured on the tune split."""

        def measure(profile: EvaluateConfig) -> Measured:
            return measure_trials(self.adapter, self.splits["tune"], profile, self.reference, [EditPlan(())])[0]

        return in_memory(self.config, measure)

    @cached_property
    def base_responses(self) -> tuple[Response, ...]:
        """The unedited model's labelled replies to the tune split, as the reference holds them; nothing is run."""
        prompts, profile = ordered(self.splits["tune"]), self.config.evaluate
        return label(self.adapter, prompts, self.reference.responses, profile)

    def judge_base(self, *, may_stop: bool) -> None:
        """Say what is wrong with the unedited model as what this study starts from.

        Raises:
            UserError: it makes the study meaningless, and ``may_stop``.
        """
        stops = may_stop and self.config.study.sanity == "stop"
        for line in stop_or_warn(judge_base(self.base_responses, self.config.evaluate), stops=stops):
            announce(line)

    def report_reference(self) -> Reference:
        """The base's side on the held-out report split: read at the end only, for front points."""
        return _reference(self.adapter, self.splits["report"], self.config, self.folder / "cache", self.model_digest)


def study_folder(config: Config) -> Path:
    """``sweeps/<study>``: the study's database, caches, artifacts and report."""
    return Path(config.study.dir).expanduser() / config.study.name


def open_workbench(config: Config, knobs: tuple[Knob, ...] = (), ready: Ready | None = None) -> Workbench:
    """Load the model, check its writers, and compute or read what trials share; ``ready`` are the prompts, if read.

    Raises:
        UserError: the model or the data cannot be loaded, or the data holds fewer prompts than asked for.
    """
    quiet()
    ready = ready or preflight(config, searching=False, say=announce)
    config, splits, probes = ready.config, ready.splits, ready.probes
    fewest, _ = probe_sizes(knobs, config)
    edits = possible_edits(knobs, config)
    adapter = load_base(config)
    if config.model.quantise == "none" and (note := packed_note(adapter)):
        announce(note)
    digest = weights_digest(adapter.model)
    verify_writers(adapter)
    for line in stop_or_warn(judge_vocabulary(adapter, [p for split in splits.values() for p in split.prompts])):
        announce(line)
    folder = study_folder(config)
    adapter = recognised(adapter, config, splits["probe"], folder / "cache", digest, announce)
    if any(edit.spares == "protected_and_answered" for edit in edits):
        require_protected(probes, smallest=fewest[0])
    if probes.borderline:
        probes = _labelled(adapter, probes, config, folder / "cache", digest)
        if any(edit.contrast == "false_refusal" for edit in edits):
            require_both(probes, smallest=fewest[2])
    reference = _reference(adapter, splits["tune"], config, folder / "cache", digest)
    adapter, seen = at_every_position(adapter, probes, config, knobs, folder / "cache", digest)
    return Workbench(
        config, adapter, digest, splits, probes, seen[config.edit.position], reference, folder, by_position=seen
    )


def few_prompts(bench: Workbench, n: int) -> Workbench:
    """The same workbench with at most ``n`` tune prompts of each kind, of whose base nothing is run again."""
    tune = bench.splits["tune"]
    few = Split(tune.name, tuple(prompt for kind in PROMPT_KINDS for prompt in tune.of(kind)[:n]))
    kept: list[int] = []
    before = 0
    for kind in PROMPT_KINDS:
        kept += range(before, before + len(few.of(kind)))
        before += len(tune.of(kind))
    return replace(bench, splits={**bench.splits, few.name: few}, reference=of_fewer(bench.reference, kept))


def _reference(adapter: Adapter, split: Split, config: Config, folder: Path, digest: str) -> Reference:
    """The base's side of a split, from the study's cache or made."""

    def make(profile: EvaluateConfig) -> Reference:
        return make_reference(adapter, split, profile, cache=folder, model_digest=digest, say=announce)

    return in_memory(config, make)


def _labelled(adapter: Adapter, probes: ProbeSet, config: Config, folder: Path, digest: str) -> ProbeSet:
    """The probe set with which borderline prompts the base refuses, from the study's cache or decoded."""

    def make(profile: EvaluateConfig) -> ProbeSet:
        return label_borderline(adapter, probes, profile, cache=folder, model_digest=digest)

    return in_memory(config, make)


def load_base(config: Config) -> Adapter:
    """Load the configured model on the configured threads; ``organism`` is trained first where it is not there yet."""
    path = config.model.path
    if path == ORGANISM:
        organism = config.organism
        path = config.organism.out
        with training_bar(terminal(), "training the organism") as progress:
            recipe = Recipe(organism.seed, family=organism.family, thinks=organism.thinks)
            ensure_organism(Path(path), recipe, progress)
    if config.launch.threads is not None:
        torch.set_num_threads(config.launch.threads)
    return load_as(
        config.model, str(Path(path).expanduser()), revision=config.model.revision, quantise=config.model.quantise
    )


def in_full_dtype(bench: Workbench) -> Workbench:
    """The same workbench around the base as it is stored; a quantised one is loaded again, and is its own reference."""
    if bench.config.model.quantise == "none":
        return bench
    config = with_values(bench.config, {"model.quantise": "none"})
    adapter = replace(load_base(config), chat=bench.adapter.chat, thoughts=bench.adapter.thoughts)
    digest = weights_digest(adapter.model)
    reference = _reference(adapter, bench.splits["tune"], config, bench.folder / "cache", digest)
    return replace(bench, config=config, adapter=adapter, model_digest=digest, reference=reference)
