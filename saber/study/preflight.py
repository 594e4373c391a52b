"""The preflight: all that can be known to be wrong with a run before its model is loaded, said at once.

A study that fails here leaves no folder, no name and no trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from saber.config import Config, DataConfig
from saber.data.sources import Say, read_source
from saber.data.splits import load_splits, probe_counts, probe_set
from saber.keys import nearest, with_values
from saber.lm.evaluation.measurement import measurable
from saber.lm.evaluation.protocol import marker_words
from saber.metrics import (
    CAPABILITY,
    DRIFT,
    HARMLESS_REFUSAL,
    METRICS,
    OVER_REFUSAL,
    PROTECTED_REFUSAL,
    REFUSAL,
    RESIDUAL,
    UNPROTECTED_REFUSAL,
)
from saber.study.disk_room import check_room, check_writable
from saber.study.probed_inputs import possible_edits
from saber.study.search.space import Knob, check_point, parse_space, probe_sizes
from saber.types import ProbeSet, Split, SplitName, UserError
from saber.vocabulary import Mistakes, PromptKind

KNOWN = tuple(metric.name for metric in METRICS)
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


@dataclass
class Findings:
    """The mistakes so far, in the order in which they were found."""

    lines: list[str] = field(default_factory=list)

    def __enter__(self) -> None:
        """Begin a check; a mistake that it raises is noted, and what comes after it goes on."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, UserError):
            self.lines += error.lines if isinstance(error, Mistakes) else [str(error)]
        return isinstance(error, UserError)

    def stop_if_any(self) -> None:
        """Pass where nothing was found.

        Raises:
            UserError: all mistakes together.
        """
        if self.lines:
            raise Mistakes(self.lines)


def preflight(config: Config, *, searching: bool, say: Say = lambda _: None) -> Ready:
    """Check a run before anything that takes long, for a study that searches or one that is looked at again.

    Raises:
        UserError: everything that is wrong, in one list.
    """
    found = Findings()
    knobs: tuple[Knob, ...] | None = None
    with found:
        knobs = parse_space(config)
    if searching:
        _check_search(config, knobs, found)
    with found:
        marker_words(config.evaluate)
    with found:
        check_model_path(config.model.path, "model.path")
    _check_judge(config, found)
    _check_metric_names(config, found)
    splits = _read_splits(config, found, say)
    if splits is not None:
        _check_splits(config, splits, found)
    probes: ProbeSet | None = None
    if splits is not None:
        config = with_probe_counts(config, splits["probe"])
    if splits is not None and knobs is not None:
        with found:
            probes = _probes(config, knobs, splits["probe"])
    if searching and splits is not None:
        with found:
            check_room(config, splits)
    found.stop_if_any()
    assert knobs is not None, "a mistake without a line"
    assert splits is not None, "a mistake without a line"
    assert probes is not None, "a mistake without a line"
    return Ready(config, knobs, splits, probes)


def _check_search(config: Config, knobs: Sequence[Knob] | None, found: Findings) -> None:
    """What only a run that makes trials needs: a space, objectives, known points within it, and where to write."""
    if knobs is not None and not knobs:
        found.lines.append("expected a space to search, found none: add +sweep=organism or space.* keys")
    if len(config.study.objectives) not in (2, 3):
        found.lines.append(f"expected 2 or 3 study.objectives, found {len(config.study.objectives)}")
    names = [one.metric for one in config.study.objectives]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        found.lines.append(f"study.objectives: expected different metrics, found {name} twice")
    for point in config.study.enqueue if knobs else ():
        with found:
            check_point(point, knobs or ())
    for key, folder in (
        ("study.dir", Path(config.study.dir) / config.study.name),
        ("export.dir", Path(config.export.dir)),
    ):
        with found:
            check_writable(folder, key)


def _check_judge(config: Config, found: Findings) -> None:
    judge = config.judge
    if judge.kind == "hf_classifier":
        with found:
            check_model_path(str(judge.path), "judge.path")
    if judge.kind == "openai_compatible":
        with found:
            check_web_address(judge.url)


def _check_metric_names(config: Config, found: Findings) -> None:
    for key, metrics in _named_metrics(config).items():
        for name in metrics:
            if name not in KNOWN:
                guess = nearest(name, list(KNOWN)) or f"; there are {', '.join(KNOWN)}"
                found.lines.append(f"{key}: unknown metric {name}{guess}")


def _named_metrics(config: Config) -> dict[str, list[str]]:
    """The metrics that the configuration names, by the key that names them."""
    return {
        "study.objectives": [one.metric for one in config.study.objectives],
        "study.constraints": [one.metric for one in config.study.constraints],
    }


def _read_splits(config: Config, found: Findings, say: Say) -> Mapping[SplitName, Split] | None:
    """The splits, or what is wrong with every source that cannot be read."""
    own = Findings()
    with own:
        return load_splits(config.data, config.organism.seed, config.organism.family, say)
    sources = Findings()
    for source in config.data.named or config.data.sets:
        with sources:
            read_source(source, lambda _: None)
    found.lines += sources.lines or own.lines
    return None


def _check_splits(config: Config, splits: Mapping[SplitName, Split], found: Findings) -> None:
    """Every metric that is named, or that a score or a card needs, can be measured on the prompts that there are."""
    for split in (splits["tune"], splits["report"]):
        there = measurable(split, config.evaluate)
        for name in ALWAYS_MEASURED[split.name]:
            if name not in there:
                found.lines.append(_cannot("a study always", name, split, config))
        if split.name == "tune":
            for key, metrics in _named_metrics(config).items():
                for name in metrics:
                    if name in KNOWN and name not in there and name not in ALWAYS_MEASURED["tune"]:
                        found.lines.append(_cannot(key, name, split, config))


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


def check_model_path(path: str, key: str) -> None:
    """Pass where a path exists, or can be a hub id and is no misspelt neighbour of what is there.

    Raises:
        UserError: it can only be a folder and there is none, or one with nearly its name stands where it would be.
    """
    try:
        folder = Path(path).expanduser()
        if folder.exists():
            return
        siblings = [one.name for one in folder.parent.iterdir()] if folder.parent.is_dir() else []
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{key}: expected a folder or a hub id, found {path} ({error})") from error
    is_path = path.startswith(("/", "~", ".", "\\")) or path.count("/") > 1 or "\\" in path
    close = nearest(folder.name, siblings)
    if is_path or (close and "/" in path):
        raise UserError(f"{key}: expected a folder, found none at {path}{close}")


def check_web_address(url: str) -> None:
    """Pass where a judge can be asked at an address.

    Raises:
        UserError: it is none of the web.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:  # half an IPv6 address
        scheme = ""
    if scheme not in ("http", "https"):
        raise UserError(f"expected judge.url to be http://..., found {url or 'none'}")
