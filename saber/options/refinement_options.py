"""Options of refinement: how many rounds there are, and when they stop."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.options.conditions import SEVERAL_ROUNDS
from saber.options.option import Option
from saber.options.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class RefinementOptions:
    """Rounds of edits: at most ``max_iterations``, each ``decay`` times as strong as the one before."""

    max_iterations: Annotated[int, Option("Max iterations", code="it", place=6)] = Field(default=4, ge=1)
    decay: Annotated[float, Option("Decay per round", code="dc", per=100, place=18, when=SEVERAL_ROUNDS)] = Field(
        default=1.0, gt=0.0
    )
    tolerance: Annotated[float, Option(when=SEVERAL_ROUNDS)] = Field(default=0.0, ge=0.0)
    stable_cosine: Annotated[float, Option(when=SEVERAL_ROUNDS)] = Field(default=0.98, ge=0.0, le=1.0)
    patience: Annotated[int, Option(when=SEVERAL_ROUNDS)] = Field(default=2, ge=1)
