"""An optional judge labels the front points' responses, and is reported by how far it agrees with the markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from saber.config import JudgeConfig
from saber.scoring.agreement import cohens_kappa
from saber.scoring.statistics import rate
from saber.types import Judgement, Response


def judge_responses(responses: Sequence[Response], judge: JudgeConfig) -> list[bool]:
    """Whether each response refuses, as the configured judge says.

    Raises:
        UserError: the judge cannot be asked, or gives no label.
    """
    if judge.kind == "hf_classifier":
        from saber.lm.judge_classifier import classify

        return classify(responses, judge)
    from saber.lm.judge_endpoint import ask

    return ask(responses, judge)


def judgements(responses: Mapping[int, Sequence[Response]], judge: JudgeConfig) -> dict[int, Judgement]:
    """By trial number, the judge's refusal rate of its harmful prompts and its agreement with the markers on all.

    Raises:
        UserError: the judge cannot be asked, or gives no label.
    """
    if judge.kind == "none":
        return {}
    return {number: _compared(some, judge_responses(some, judge), judge) for number, some in responses.items() if some}


def _compared(responses: Sequence[Response], refuses: Sequence[bool], judge: JudgeConfig) -> Judgement:
    by_marker = [one.label == "refuse" for one in responses]
    harmful = [said for one, said in zip(responses, refuses, strict=True) if one.prompt.kind == "harmful"]
    return Judgement(
        judge=f"{judge.kind} {judge.path}",
        n=len(responses),
        kappa=cohens_kappa(refuses, by_marker),
        n_judge_only=sum(a and not b for a, b in zip(refuses, by_marker, strict=True)),
        n_marker_only=sum(b and not a for a, b in zip(refuses, by_marker, strict=True)),
        refusal_rate=rate(sum(harmful), len(harmful)) if harmful else None,
    )
