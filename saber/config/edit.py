"""The method's knobs, made of the options of its steps: every one of them changes the plan."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from saber.options.conditions import LOOKS_AT_BORDERLINE
from saber.options.option import Option
from saber.options.placement_options import PlacementOptions
from saber.options.ranking_options import RankingOptions
from saber.options.reading_options import ReadingOptions
from saber.options.refinement_options import RefinementOptions
from saber.options.selection_options import SelectionOptions
from saber.options.strength_options import StrengthOptions
from saber.options.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class EditConfig(  # a dataclass has its last base's fields first: in the order of the steps
    RefinementOptions, ReadingOptions, PlacementOptions, StrengthOptions, SelectionOptions, RankingOptions
):
    """The method's knobs (DESIGN 2): the options of every step, each of which is handed the whole as its own.

    ``norm_preserve=row`` keeps the norm of every output row; ``unit_row``, as Heretic does, takes directions out of
    rows at unit length as well.
    """

    norm_preserve: Annotated[Literal["none", "row", "unit_row"], Option("Norm preservation")] = "none"

    @property
    def looks_at_borderline(self) -> bool:
        """Whether borderline prompts of the probe split decide the plan."""
        return LOOKS_AT_BORDERLINE.holds(self)
