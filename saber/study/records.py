"""What a trial keeps in the database, and how it is read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import TypeAdapter

from saber.config import ConstraintConfig, StudyConfig
from saber.lm.plan_file import save_plan
from saber.study.evaluator import Outcome
from saber.types import Metrics, Response, UserError

INTERRUPTED = "interrupted"
RETRY_OF = "retry_of"
_METRICS = TypeAdapter(Metrics)


def metrics_to_json(metrics: Metrics) -> Any:
    """Metrics as plain JSON values."""
    return _METRICS.dump_python(metrics, mode="json")


def metrics_from_json(value: Any) -> Metrics:
    """The inverse of `metrics_to_json`."""
    return _METRICS.validate_python(value)


def violations(metrics: Metrics, constraints: Sequence[ConstraintConfig]) -> dict[str, float]:
    """How far each constraint is violated; at most 0 is feasible.

    Raises:
        UserError: a constrained metric was not measured.
    """
    found: dict[str, float] = {}
    for one in constraints:
        value = metric_value(metrics, one.metric)
        if one.at_least is not None:
            found[f"{one.metric}>={one.at_least:g}"] = one.at_least - value
        if one.at_most is not None:
            found[f"{one.metric}<={one.at_most:g}"] = value - one.at_most
    return found


def metric_value(metrics: Metrics, name: str) -> float:
    """A measured metric by name.

    Raises:
        UserError: it was not measured, with those that were.
    """
    if name not in metrics.estimates:
        raise UserError(f"expected a measured metric, found {name}; measured: {', '.join(sorted(metrics.estimates))}")
    return metrics[name]


def tell(
    study: optuna.Study,
    trial: Trial,
    outcome: Outcome,
    name: str,
    config: StudyConfig,
    folder: Path,
    store: FileSystemArtifactStore,
) -> None:
    """Store everything that a trial gave, then finish it; the state is written last, so that nothing half stays."""
    trial.set_user_attr("seconds", round(outcome.seconds, 3))
    if outcome.measured is None or outcome.planned is None:
        trial.set_user_attr("failure", outcome.failure)
        study.tell(trial, state=TrialState.FAIL)
        return
    metrics, planned = outcome.measured.metrics, outcome.planned
    broken = violations(metrics, config.constraints)
    save_plan(planned.plan, plan_path(folder, planned.plan.digest))
    _upload_responses(trial, outcome.measured.responses, folder, store)
    trial.set_user_attr("name", name)
    trial.set_user_attr("metrics", metrics_to_json(metrics))
    trial.set_user_attr("plan", planned.plan.digest)
    trial.set_user_attr("stopped", f"{planned.stopped} after {len(planned.plan.rounds)} rounds")
    trial.set_user_attr("feasible", all(value <= 0 for value in broken.values()))
    for constraint, value in broken.items():
        trial.set_constraint(constraint, value)
    study.tell(trial, [metric_value(metrics, one.metric) for one in config.objectives])


def plan_path(folder: Path, digest: str) -> Path:
    """Where the plan of a trial lies."""
    return folder / "plans" / f"{digest}.safetensors"


def response_rows(responses: Sequence[Response]) -> list[Mapping[str, Any]]:
    """Responses as flat rows for a table."""
    return [
        {
            "kind": one.prompt.kind,
            "category": one.prompt.category,
            "protected": one.prompt.protected,
            "label": one.label,
            "marker": one.marker,
            "correct": one.correct,
            "prompt": one.prompt.text,
            "response": one.text,
        }
        for one in responses
    ]


def _upload_responses(
    trial: Trial, responses: Sequence[Response], folder: Path, store: FileSystemArtifactStore
) -> None:
    """The dashboard shows a JSONL artifact as a table."""
    path = folder / "cache" / f"responses-{trial.number}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in response_rows(responses)))
    upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=trial)
    path.unlink()


def is_finished(trial: FrozenTrial) -> bool:
    """Whether a trial counts: complete, pruned or failed by itself, but not one that an interruption cut."""
    return trial.state.is_finished() and not trial.user_attrs.get(INTERRUPTED, False)


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """All trials that count, in the order of their numbers."""
    return [trial for trial in study.get_trials(deepcopy=False) if is_finished(trial)]


def complete_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials with measurements."""
    return [trial for trial in finished_trials(study) if trial.state == TrialState.COMPLETE]
