"""What a search asks of a trial: to which kinds of prompts it replies, and which metrics that leaves unmeasured."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from saber.config import EvaluateConfig
from saber.metrics import RESIDUAL, metric_of
from saber.types import Metrics, Prompt, PromptKind, Response


@dataclass(frozen=True, eq=False)
class Sought:
    """The kinds of prompts that are replied to first, and, by what that measures, whether the others are as well."""

    kinds: frozenset[PromptKind]
    goes_on: Callable[[Metrics], bool]


def stand_in(prompt: Prompt, profile: EvaluateConfig, thought: str | None = "") -> Response:
    """In place of a reply that nobody has read, to ask which metrics would count it; by default it may think."""
    right = None if prompt.answer is None else False
    return Response(prompt, "", "comply", correct=right, labeller=profile.labeller, thought=thought)


def countable(names: Iterable[str], missing: Sequence[Response]) -> frozenset[str]:
    """The metrics that count none of the missing responses."""
    return frozenset(
        name for name in names if (among := metric_of(name).among) is None or not any(among(r) for r in missing)
    )


def kinds_for(metrics: Collection[str], prompts: Sequence[Prompt], profile: EvaluateConfig) -> frozenset[PromptKind]:
    """The kinds of prompts that must be replied to for these metrics; drift needs no reply.

    The residual proxy is of the stream at harmful and harmless prompts, which those that drift is measured on show.
    """
    kinds = {p.kind for p in prompts if countable(metrics, [stand_in(p, profile)]) < frozenset(metrics)}
    if RESIDUAL in metrics:
        both: tuple[PromptKind, ...] = ("harmful", "harmless")
        kinds |= {kind for kind in both if kind not in profile.drift_kinds}
    return frozenset(kinds)
