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


def check_search(config: Config, knobs: Sequence[Knob] | None, found: Findings) -> None:
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
    if config.study.storage is not None:
        with found:
            check_database(config.study.storage, "study.storage")
    if "." in config.study.sampler:
        with found:
            make_sampler(config.study, 0, 1, 1)
    elif config.study.sampler_arguments:
        found.lines.append(
            f"study.sampler_arguments are for a sampler named by its dotted path, found study.sampler="
            f"{config.study.sampler}: name it, or take them out"
        )
    for line in _out_of_bounds(config):
        found.lines.append(line)


def idle_words(config: Config, knobs: Sequence[Knob]) -> Iterator[str]:
    """Words of the command line that set a key which is searched, so that their value is never used."""
    searched = {knob.key for knob in knobs}
    for word in config.overrides:
        key = word.lstrip("+").partition("=")[0]
        if key in searched:
            yield f"{word.lstrip('+')} changes nothing, as {key} is searched; to set it, add ~space.{key}"


def _out_of_bounds(config: Config) -> Iterator[str]:
    """Bounds that no measured value can lie within, or that every one does."""
    for one in config.study.constraints:
        limits = {"at_least": one.at_least, "at_most": one.at_most, "within": one.within}
        for name, value in limits.items():
            if value is not None and metric_of(one.metric).unit == "rate" and not 0 <= value <= 1:
                yield f"study.constraints: {one.metric} is a rate, expected {name} from 0 to 1, found {value:g}"
        if one.at_least is not None and one.at_most is not None and one.at_least > one.at_most:
            yield f"study.constraints: {one.metric} cannot be at_least {one.at_least:g} and at_most {one.at_most:g}"
    for objective in config.study.objectives:
        if metric_of(objective.metric).unit == "rate" and not 0 <= objective.reference <= 1:
            yield (
                f"study.objectives: {objective.metric} is a rate, expected a reference from 0 to 1, found"
                f" {objective.reference:g}"
            )


def check_metric_names(config: Config, found: Findings) -> None:
    for key, metrics in named_metrics(config).items():
        for name in metrics:
            if name not in KNOWN:
                guess = nearest(name, list(KNOWN)) or f"; there are {', '.join(KNOWN)}"
                found.lines.append(f"{key}: unknown metric {name}{guess}")


def named_metrics(config: Config) -> dict[str, list[str]]:
    """The metrics that the configuration names, by the key that names them."""
    return {
        "study.objectives": [one.metric for one in config.study.objectives],
        "study.constraints": [one.metric for one in config.study.constraints],
    }
