"""What can be known to be wrong with a search before anything is measured, each mistake a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from saber.config import Config
from saber.keys import nearest
from saber.metrics import METRICS, metric_of
from saber.study.disk_room import check_writable
from saber.study.named_places import check_database
from saber.study.search.samplers import make_sampler
from saber.study.search.space import Knob, check_point
from saber.types import UserError
from saber.vocabulary import Mistakes

KNOWN = tuple(metric.name for metric in METRICS)


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


def check_search(config: Config, knobs: Sequence[Knob] | None, findings: Findings) -> None:
    """What only a run that makes trials needs: a space, objectives, known points within it, and where to write."""
    if knobs is not None and not knobs:
        findings.lines.append("expected a space to search, found none: add +sweep=organism or space.* keys")
    if len(config.study.objectives) not in (2, 3):
        findings.lines.append(f"expected 2 or 3 study.objectives, found {len(config.study.objectives)}")
    names = [objective.metric for objective in config.study.objectives]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        findings.lines.append(f"study.objectives: expected different metrics, found {name} twice")
    for point in config.study.enqueue if knobs else ():
        with findings:
            check_point(point, knobs or ())
    for key, folder in (
        ("study.dir", Path(config.study.dir) / config.study.name),
        ("export.dir", Path(config.export.dir)),
    ):
        with findings:
            check_writable(folder, key)
    if config.study.storage is not None:
        with findings:
            check_database(config.study.storage, "study.storage")
    if "." in config.study.sampler:
        with findings:
            make_sampler(config.study, 0, 1, 1)
    elif config.study.sampler_arguments:
        findings.lines.append(
            f"study.sampler_arguments are for a sampler named by its dotted path, found study.sampler="
            f"{config.study.sampler}: name it, or take them out"
        )
    for line in _out_of_bounds(config):
        findings.lines.append(line)


def idle_words(config: Config, knobs: Sequence[Knob]) -> Iterator[str]:
    """Words of the command line that set a key which is searched, so that their value is never used."""
    searched = {knob.key for knob in knobs}
    for word in config.overrides:
        key = word.lstrip("+").partition("=")[0]
        if key in searched:
            yield f"{word.lstrip('+')} changes nothing, as {key} is searched; to set it, add ~space.{key}"


def _out_of_bounds(config: Config) -> Iterator[str]:
    """Bounds that no measured value can lie within, or that every one does."""
    for bound in config.study.constraints:
        limits = {"at_least": bound.at_least, "at_most": bound.at_most, "within": bound.within}
        for name, value in limits.items():
            if value is not None and metric_of(bound.metric).unit == "rate" and not 0 <= value <= 1:
                yield f"study.constraints: {bound.metric} is a rate, expected {name} from 0 to 1, found {value:g}"
        if bound.at_least is not None and bound.at_most is not None and bound.at_least > bound.at_most:
            both = f"at_least {bound.at_least:g} and at_most {bound.at_most:g}"
            yield f"study.constraints: {bound.metric} cannot be {both}"
    for objective in config.study.objectives:
        if metric_of(objective.metric).unit == "rate" and not 0 <= objective.reference <= 1:
            yield (
                f"study.objectives: {objective.metric} is a rate, expected a reference from 0 to 1, found"
                f" {objective.reference:g}"
            )


def check_metric_names(config: Config, findings: Findings) -> None:
    for key, metrics in named_metrics(config).items():
        for name in metrics:
            if name not in KNOWN:
                guess = nearest(name, list(KNOWN)) or f"; there are {', '.join(KNOWN)}"
                findings.lines.append(f"{key}: unknown metric {name}{guess}")


def named_metrics(config: Config) -> dict[str, list[str]]:
    """The metrics that the configuration names, by the key that names them."""
    return {
        "study.objectives": [objective.metric for objective in config.study.objectives],
        "study.constraints": [constraint.metric for constraint in config.study.constraints],
    }
