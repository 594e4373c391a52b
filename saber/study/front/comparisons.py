"""Several studies side by side: their fronts and hypervolumes, where they ask the same question."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import optuna

from saber.config import Config
from saber.keys import with_values
from saber.scoring.pareto import hypervolume
from saber.study.front.points import costs, read_points
from saber.study.store.fingerprint import differences, stored_identity
from saber.study.store.storage import load_study
from saber.types import FrontierPoint, Objective, UserError


@dataclass(frozen=True)
class StudyFront:
    """One study's front, its hypervolume, and the digest of the protocol with its own prompts."""

    study: str
    n_trials: int
    front: tuple[FrontierPoint, ...]
    hypervolume: float
    protocol: str
    model: str


@dataclass(frozen=True)
class StudyFronts:
    """The fronts of studies that have their objectives and the settings of their protocol in common."""

    objectives: tuple[Objective, ...]
    studies: tuple[StudyFront, ...]

    @property
    def hypervolumes(self) -> np.ndarray:
        """One a study."""
        return np.array([study.hypervolume for study in self.studies])

    @property
    def spread(self) -> float:
        """Standard deviation of the hypervolumes, of a sample; 0 for one study."""
        return float(self.hypervolumes.std(ddof=1)) if len(self.studies) > 1 else 0.0

    @property
    def same_prompts(self) -> bool:
        """Whether all were measured on the same prompts too."""
        return len({study.protocol for study in self.studies}) == 1


def read_fronts(config: Config) -> StudyFronts:
    """The fronts of ``config.studies``.

    Raises:
        UserError: a study is not there, is named twice, or differs from the first in what makes numbers comparable.
    """
    if len(set(config.studies)) < len(config.studies):
        raise UserError(f"studies: expected different names, found {', '.join(config.studies)}")
    objectives = {"objectives": [asdict(objective) for objective in config.study.objectives]}
    fronts: list[StudyFront] = []
    first: dict[str, Any] = {}
    for name in config.studies:
        own = with_values(config, {"study.name": name})
        study = load_study(own)
        asked = question(study)
        if changes := differences(objectives, {"objectives": asked["objectives"]}):
            raise UserError(f"study {name} has other objectives than asked here: {'; '.join(changes)}; name its sweep")
        if changes := differences(first or asked, asked):
            raise UserError(
                f"studies {config.studies[0]} and {name} cannot be compared: {'; '.join(changes)};"
                " overlay studies of one protocol and the same objectives"
            )
        first = first or asked
        fronts.append(_front(study, own))
    return StudyFronts(config.study.objectives, tuple(fronts))


def question(study: optuna.Study) -> dict[str, Any]:
    """What a study's numbers mean, but for the model and the prompts, which may differ as an organism's do by seed."""
    identity = stored_identity(study)
    evaluate = {key: value for key, value in identity["fixed"].items() if key.startswith("evaluate.")}
    return {
        "objectives": identity["objectives"],
        "constraints": identity["constraints"],
        "system_prompt": identity["system_prompt"],
        "chat": identity.get("chat", {}),
        "protocol": evaluate,
    }


def _front(study: optuna.Study, config: Config) -> StudyFront:
    points = read_points(study, config)
    values, reference = costs([point.tune for point in points if point.feasible], config.study.objectives)
    first = config.study.objectives[0].metric
    front = sorted((point for point in points if point.on_front), key=lambda point: (point.tune[first], point.number))
    model = str(stored_identity(study)["model"])
    volume = hypervolume(values, reference)
    return StudyFront(study.study_name, len(points), tuple(front), volume, points[0].tune.protocol, model)
