"""What a trial keeps in the database, and how it is read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import TypeAdapter

from saber.config import StudyConfig
from saber.lm.editing.plan_file import save_plan
from saber.study.search.constraints import estimate_of, violations
from saber.study.store.artifacts import upload_responses
from saber.study.trial_result import TrialResult
from saber.types import Metrics

INTERRUPTED = "interrupted"
RETRY_OF = "retry_of"
_METRICS = TypeAdapter(Metrics)


def metrics_to_json(metrics: Metrics) -> Any:
    """Metrics as plain JSON values."""
    return _METRICS.dump_python(metrics, mode="json")


def metrics_from_json(value: Any) -> Metrics:
    """The inverse of `metrics_to_json`."""
    return _METRICS.validate_python(value)


def tell(
    study: optuna.Study,
    trial: Trial,
    outcome: TrialResult,
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
    broken = violations(metrics, config.constraints, outcome.base)
    save_plan(planned.plan, plan_path(folder, planned.plan.digest))
    upload_responses(trial, outcome.measured.responses, folder, store)
    trial.set_user_attr("name", name)
    trial.set_user_attr("metrics", metrics_to_json(metrics))
    trial.set_user_attr("plan", planned.plan.digest)
    trial.set_user_attr("stopped", f"{planned.stopped} after {len(planned.plan.rounds)} rounds")
    trial.set_user_attr("feasible", all(value <= 0 for value in broken.values()))
    for constraint, value in broken.items():
        trial.set_constraint(constraint, value)
    study.tell(trial, [estimate_of(metrics, objective.metric).value for objective in config.objectives])


def plan_path(folder: Path, digest: str) -> Path:
    """Where the plan of a trial lies."""
    return folder / "plans" / f"{digest}.safetensors"


def is_finished(trial: FrozenTrial) -> bool:
    """Whether a trial counts: complete, pruned or failed by itself, but not one that an interruption cut."""
    return trial.state.is_finished() and not trial.user_attrs.get(INTERRUPTED, False)


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """All trials that count, in the order of their numbers."""
    return [trial for trial in study.get_trials(deepcopy=False) if is_finished(trial)]


def complete_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials with measurements."""
    return complete_of(finished_trials(study))


def complete_of(finished: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those with measurements."""
    return [trial for trial in finished if trial.state == TrialState.COMPLETE]
