"""The preflight: all that can be known to be wrong with a run before its model is loaded, said at once.

A study that fails here leaves no folder, no name and no trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saber.config import Config, DataConfig
from saber.data.sources import Say, read_source
from saber.data.splits import load_splits, probe_counts, probe_set
from saber.keys import with_values
from saber.lm.evaluation.measurement import measurable
from saber.lm.evaluation.protocol import marker_words
from saber.metrics import (
    CAPABILITY,
    DRIFT,
    HARMLESS_REFUSAL,
    OVER_REFUSAL,
    PROTECTED_REFUSAL,
    REFUSAL,
    RESIDUAL,
    UNPROTECTED_REFUSAL,
)
from saber.study.disk_room import check_room
from saber.study.named_places import check_model_path, check_web_address
from saber.study.probed_base import check_positions
from saber.study.probed_inputs import possible_edits
from saber.study.search.space import Knob, parse_space, probe_sizes
from saber.study.search_checks import KNOWN, Findings, check_metric_names, check_search, idle_words, named_metrics
from saber.types import ProbeSet, Split, SplitName
from saber.vocabulary import PromptKind

# A trial's score and marks need these, and so does what is said of a front point on held-out prompts.
ALWAYS_MEASURED: Mapping[SplitName, tuple[str, ...]] = {
    "tune": (REFUSAL, DRIFT, RESIDUAL),
    "report": (REFUSAL, DRIFT),
}
MEASURED_ON: Mapping[str, str] = {
    REFUSAL: "harmful prompts",
    OVER_REFUSAL: "borderline prompts",
    HARMLESS_REFUSAL: "harmless prompts",
    PROTECTED_REFUSAL: "harmful prompts of a protected category",
    UNPROTECTED_REFUSAL: "harmful prompts of no protected category",
    CAPABILITY: "capability prompts with a known answer",
    RESIDUAL: "2 harmful and 2 harmless prompts",
}
KINDS_OF: Mapping[str, tuple[PromptKind, ...]] = {
    REFUSAL: ("harmful",),
    OVER_REFUSAL: ("borderline",),
    HARMLESS_REFUSAL: ("harmless",),
    UNPROTECTED_REFUSAL: ("harmful",),
    CAPABILITY: ("capability",),
    RESIDUAL: ("harmful", "harmless"),
}


@dataclass(frozen=True, eq=False)
class Ready:
    """What a run has found out before its model is loaded: its knobs, its prompts, and its probes without labels.

    ``config`` says how many probes there are where it was left open.
    """

    config: Config
    knobs: tuple[Knob, ...]
    splits: Mapping[SplitName, Split]
    probes: ProbeSet


def preflight(config: Config, *, searching: bool, say: Say = lambda _: None) -> Ready:
    """Check a run before anything that takes long, for a study that searches or one that is looked at again.

    Raises:
        UserError: everything that is wrong, in one list.
    """
    findings = Findings()
    knobs: tuple[Knob, ...] | None = None
    with findings:
        knobs = parse_space(config)
        check_positions(config, knobs)
    if searching:
        check_search(config, knobs, findings)
        for line in idle_words(config, knobs or ()):
            say(f"warning: {line}")
    with findings:
        marker_words(config.evaluate)
    with findings:
        check_model_path(config.model.path, "model.path")
    _check_judge(config, findings)
    check_metric_names(config, findings)
    splits = _read_splits(config, findings, say)
    if splits is not None:
        _check_splits(config, splits, findings)
    probes: ProbeSet | None = None
    if splits is not None:
        config = with_probe_counts(config, splits["probe"])
    if splits is not None and knobs is not None:
        with findings:
            probes = _probes(config, knobs, splits["probe"])
    if searching and splits is not None:
        with findings:
            check_room(config, splits)
    findings.stop_if_any()
    assert knobs is not None, "a mistake without a line"
    assert splits is not None, "a mistake without a line"
    assert probes is not None, "a mistake without a line"
    return Ready(config, knobs, splits, probes)


def _check_judge(config: Config, findings: Findings) -> None:
    judge = config.judge
    if judge.kind == "hf_classifier":
        with findings:
            check_model_path(str(judge.path), "judge.path")
    if judge.kind == "openai_compatible":
        with findings:
            check_web_address(judge.url)


def _read_splits(config: Config, findings: Findings, say: Say) -> Mapping[SplitName, Split] | None:
    """The splits, or what is wrong with every source that cannot be read."""
    own = Findings()
    with own:
        return load_splits(config.data, config.organism.seed, config.organism.family, say)
    sources = Findings()
    for source in config.data.named or config.data.sets:
        with sources:
            read_source(source, lambda _: None)
    findings.lines += sources.lines or own.lines
    return None


def _check_splits(config: Config, splits: Mapping[SplitName, Split], findings: Findings) -> None:
    """Every metric that is named, or that a score or a card needs, can be measured on the prompts that there are."""
    for split in (splits["tune"], splits["report"]):
        there = measurable(split, config.evaluate)
        for name in ALWAYS_MEASURED[split.name]:
            if name not in there:
                findings.lines.append(_cannot("a study always", name, split, config))
        if split.name == "tune":
            for key, metrics in named_metrics(config).items():
                for name in metrics:
                    if name in KNOWN and name not in there and name not in ALWAYS_MEASURED["tune"]:
                        findings.lines.append(_cannot(key, name, split, config))


def _cannot(who: str, name: str, split: Split, config: Config) -> str:
    """That a metric has no prompts, what it needs, and which sizes to raise."""
    is_drift = name.startswith(DRIFT)
    needs = f"{' or '.join(config.evaluate.drift_kinds)} prompts" if is_drift else MEASURED_ON.get(name, "prompts")
    kinds = config.evaluate.drift_kinds if is_drift else KINDS_OF.get(name, ())
    counts = ", ".join(f"{len(split.of(kind))} {kind}" for kind in kinds) or "none"
    mend = _what_to_raise(split, kinds, config.data)
    return f"{who} measures {name} on {needs}, the {split.name} split has {counts}: {mend}"


def _what_to_raise(split: Split, kinds: Sequence[PromptKind], data: DataConfig) -> str:
    if not kinds:
        return "name protected categories in data.sets, or take it out"
    if data.source == "organism":
        return "take it out"
    return f"raise {' and '.join(f'data.{split.name}.{kind}' for kind in kinds)}, or name more data"


def _probes(config: Config, knobs: tuple[Knob, ...], split: Split) -> ProbeSet:
    """The largest probe set of the study, its borderline prompts where an edit looks at them."""
    _, (n_probe, n_capability, n_borderline) = probe_sizes(knobs, config)
    with_borderline = any(edit.looks_at_borderline for edit in possible_edits(knobs, config))
    return probe_set(split, (n_probe, n_capability, n_borderline if with_borderline else 0), config.data.seed)


def with_probe_counts(config: Config, split: Split) -> Config:
    """The configuration with the number of probes that the split has where it says ``null``."""
    n_pairs, n_capability = probe_counts(split)
    data = config.data
    return with_values(
        config,
        {
            "data.n_probe": n_pairs if data.n_probe is None else data.n_probe,
            "data.n_capability": n_capability if data.n_capability is None else data.n_capability,
        },
    )
