"""The frontier of a study: what its trials say, and all that is measured of its front afterwards."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence

from saber.config import Config
from saber.console import announce
from saber.lm.evaluation.outcomes import outcomes_of
from saber.redaction import public, public_values
from saber.scoring.pareto import hypervolume
from saber.study.base_replies import base_rows
from saber.study.context import Workbench
from saber.study.front.diagnostics import importances, landscape, massive_dimension
from saber.study.front.held_out import BASE, report_scores
from saber.study.front.judging import judgements
from saber.study.front.length_check import length_checks
from saber.study.front.points import costs, read_points
from saber.study.front.single_direction_baseline import null_curve
from saber.study.store.artifacts import stored_responses
from saber.study.store.patient_storage import StoredStudy
from saber.study.store.records import complete_trials
from saber.study.store.storage import artifact_store
from saber.types import Frontier, FrontierPoint, Response

N_ALOUD = 3  # replies of each kind that are shown with their thoughts


def front_responses(
    study: StoredStudy, config: Config, points: Sequence[FrontierPoint]
) -> dict[int, tuple[Response, ...]]:
    """By trial number, the stored tune responses of each front point."""
    trials, store = {trial.number: trial for trial in complete_trials(study)}, artifact_store(config)
    return {p.number: stored_responses(study.storage, trials[p.number], store) for p in points if p.on_front}


def quick_frontier(study: StoredStudy, bench: Workbench) -> Frontier:
    """What the study's own trials say, before anything is scored on held-out prompts."""
    points = read_points(study, bench.config)
    return _from_trials(study, bench, points, front_responses(study, bench.config, points))


def _from_trials(
    study: StoredStudy,
    bench: Workbench,
    points: Sequence[FrontierPoint],
    responses: Mapping[int, Sequence[Response]],
) -> Frontier:
    """The frontier of the trials' own numbers, each front point with the outcomes of its prompts."""
    outcomes = {number: outcomes_of(said) for number, said in responses.items()}
    points = tuple(dataclasses.replace(point, outcomes=outcomes.get(point.number, {})) for point in points)
    config, objectives = bench.config, bench.config.study.objectives
    values, reference = costs([p.tune for p in points if p.feasible], objectives)
    protected = sorted({prompt.category for prompt in bench.splits["tune"].prompts if prompt.protected})
    return Frontier(
        study=study.study_name,
        base_model=public(config.model.path),
        objectives=objectives,
        points=points,
        base_tune=bench.base_tune.metrics,
        base_outcomes=outcomes_of(bench.base_tune.responses),
        base_rows=base_rows(bench.base_responses),
        base_report=None,
        hypervolume=hypervolume(values, reference),
        published=config.published,
        settings=public_values(dataclasses.asdict(config))
        | {"protected": protected, "words": spoken_overrides(config), "chat": bench.adapter.chat.described},
        thinking_aloud=thinking_aloud(bench.base_tune.responses),
    )


def thinking_aloud(responses: Sequence[Response]) -> tuple[Response, ...]:
    """A few replies with the thoughts before them, to prompts that harm nobody."""
    thought = [response for response in responses if response.thought]
    kinds = [
        [response for response in thought if response.prompt.kind == kind][:N_ALOUD]
        for kind in ("harmless", "capability")
    ]
    return tuple(response for kind in kinds for response in kind)


def frontier_of(study: StoredStudy, bench: Workbench) -> Frontier:
    """Everything there is to say of a study, with the front scored on the held-out report split."""
    points = read_points(study, bench.config)
    responses = front_responses(study, bench.config, points)
    frontier = _from_trials(study, bench, points, responses)
    frontier = _scored(frontier, frontier.front, responses, bench)
    layer_fdr, directions = landscape(bench, frontier.points)
    return dataclasses.replace(
        frontier,
        curve=null_curve(bench),
        importances=importances(study, frontier.objectives),
        layer_fdr=layer_fdr,
        directions=directions,
        massive=massive_dimension(bench),
    )


def frontier_beside(study: StoredStudy, bench: Workbench, number: int) -> Frontier:
    """What the card of one point shows of its study: of the front only that point is judged and scored."""
    points = read_points(study, bench.config)
    responses = front_responses(study, bench.config, points)
    frontier = _from_trials(study, bench, points, responses)
    return _scored(frontier, [point for point in frontier.front if point.number == number], responses, bench)


def _scored(
    frontier: Frontier,
    chosen: Sequence[FrontierPoint],
    responses: Mapping[int, Sequence[Response]],
    bench: Workbench,
) -> Frontier:
    """The base and some front points on the held-out prompts, and what a judge and a longer limit say of the points."""
    said = {point.number: responses[point.number] for point in chosen}
    judged = judgements(said, bench.config.judge, bench.folder, announce)  # first: it may have no such label
    held_out = report_scores(bench, chosen)
    longer = length_checks(bench, chosen, said)
    scored = {
        point.number: dataclasses.replace(
            point,
            report=held_out[point.plan_digest][0],
            report_outcomes=held_out[point.plan_digest][1],
            longer=longer[point.plan_digest],
            judgement=judged.get(point.number),
        )
        for point in chosen
    }
    return dataclasses.replace(
        frontier,
        points=tuple(scored.get(point.number, point) for point in frontier.points),
        base_report=held_out[BASE][0],
        base_report_outcomes=held_out[BASE][1],
    )


def spoken_overrides(config: Config, *without: str) -> str:
    """The command line's overrides less those that name one task or begin with ``without``; no passwords, no homes."""
    targets = ("to=", "to_dir=", "export.push_")
    own = ("study.n_trials=", "point=", "checkpoint=", "against=", "splits=", "judge", *targets, *without)
    words = [public(word.removeprefix("++")) for word in config.overrides]
    return shlex.join(word for word in words if not word.startswith(own))
