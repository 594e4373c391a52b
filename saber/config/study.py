"""The search: what is improved, under which constraints, by which sampler."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from saber.options.strict import STRICT

# Names reach the file system: no separators, no leading dot, and room for the name of a point behind them.
SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
SAMPLER = r"^(auto|gp|tpe|nsga2|random|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+)$"
IN_URL = r"^[^?{}]*$"  # the folder stands in a database's URL, where Optuna fills in {} and ? begins a query
# What is expected of a value, said in words.
PATTERNS: Mapping[str, str] = {
    SAFE_NAME: "expected letters, digits, '.', '_' and '-', beginning with a letter or a digit, at most 100 of them",
    SAMPLER: "expected auto, gp, tpe, nsga2, random or the dotted path of an Optuna sampler",
    IN_URL: "expected a folder without ?, { and } in its name",
}


def n_trials_of(value: Any) -> Any:
    """A number of trials of at least 1, or text such as ``+20``.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    more = isinstance(value, str) and re.fullmatch(r"\+[1-9][0-9]{0,8}", value)
    if not more and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError("expected a number of trials from 1 on, such as 60 or +20")
    return value


@dataclass(frozen=True, config=STRICT)
class Objective:
    """A metric that a study improves, and which way; a point at ``reference`` or worse adds no hypervolume."""

    metric: str
    direction: Literal["minimize", "maximize"] = "minimize"
    reference: float = 1.0


@dataclass(frozen=True, config=STRICT)
class ConstraintConfig:
    """A metric that must stay within bounds for a point to be feasible.

    ``bound`` is what is constrained: the value, or an end of its 95% interval. ``within`` of the base holds it near the
    same bound of the unedited model: ``low`` no further below, ``high`` no further above, ``value`` neither.
    """

    metric: str
    bound: Literal["value", "low", "high"] = "value"
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = Field(default=None, ge=0.0)
    of: Literal["base"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.within is None) != (self.of is None):
            raise ValueError("expected within and of together")
        if self.at_least is None and self.at_most is None and self.within is None:
            raise ValueError("expected at_least, at_most, or within and of")
        return self


@dataclass(frozen=True, config=STRICT)
class StudyConfig:
    """The search: its name and folder, how many trials, which sampler, what is improved.

    ``dry_run`` measures a few trials, says what the study will cost, and begins nothing.
    ``find_scale`` begins a study with a coarse line search over strength, in whose unit strengths are searched.
    ``sanity`` says what an unedited model that makes the study meaningless does: ``stop`` it, or ``warn`` only.
    ``n_trials`` counts finished trials in the whole study; ``"+20"`` asks for twenty more than last time.
    ``sampler`` is one of ours (``auto``, ``gp``, ``tpe``, ``nsga2``, ``random``) or the dotted path of an Optuna
    sampler, made with ``sampler_arguments`` and a seed where it takes one.
    ``storage`` is any SQLAlchemy URL, by default an SQLite file in the study's folder; a database that goes away while
    the study runs is waited for, ``storage_patience_s`` seconds.
    """

    name: str = Field(pattern=SAFE_NAME)
    dir: str = Field(default="sweeps", pattern=IN_URL)
    n_trials: Annotated[int | str, BeforeValidator(n_trials_of)] = 60
    seed: int = Field(default=0, ge=0)
    sampler: str = Field(default="auto", pattern=SAMPLER)
    sampler_arguments: Mapping[str, Any] = Field(default_factory=dict)
    objectives: tuple[Objective, ...] = ()
    constraints: tuple[ConstraintConfig, ...] = ()
    enqueue: tuple[Mapping[str, Any], ...] = ()
    refusal_cap: float = Field(default=0.10, ge=0.0, le=1.0)
    storage: str | None = None
    dry_run: bool = False
    find_scale: bool = False
    sanity: Literal["stop", "warn"] = "stop"
    storage_patience_s: float = Field(default=120.0, ge=0.0)
