"""Options of strength: how much of a direction is taken out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.options.option import Option, when
from saber.options.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class StrengthOptions:
    """How strongly directions are edited; a negative alpha amplifies what it reads.

    ``strength_unit`` multiplies every strength; null is what ``study.find_scale`` finds, or 1 where it is not asked.
    """

    strength: Annotated[Literal["blended", "decomposed", "uniform"], Option("Strength")] = "blended"
    strength_unit: Annotated[float | None, Option("Strength unit")] = Field(default=None, gt=0.0, allow_inf_nan=False)
    alpha_base: Annotated[float, Option("Alpha base", code="a", per=1000, place=2)] = Field(
        default=0.825, allow_inf_nan=False
    )
    alpha_entangled: Annotated[
        float, Option("Alpha entangled", code="ae", per=1000, place=4, when=~when("strength", "uniform"))
    ] = Field(default=0.03, allow_inf_nan=False)
    entanglement_threshold: Annotated[
        float, Option("Entanglement threshold", code="t", per=100, place=5, when=when("strength", "blended"))
    ] = Field(default=0.55, ge=0.0, le=1.0)

    @property
    def unit(self) -> float:
        """What every strength is multiplied by."""
        return 1.0 if self.strength_unit is None else self.strength_unit
