"""Options of reading: what a direction is taken out by, and whom that leaves alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.options.conditions import KEEPS_REFUSALS, LEAST_DRIFT, REACHES_FURTHER, READS_INPUTS, READS_OUTPUTS
from saber.options.option import Option, when
from saber.options.strict import STRICT
from saber.vocabulary import Protects, Reader, Spares


@dataclass(frozen=True, config=STRICT)
class InputsConfig:
    """The ``inputs`` reader: ridge regression of what is to go on what goes into a writer.

    ``spare_weight`` (lambda) is what drift on prompts left alone costs beside what stays of refusal, ``ridge`` (mu)
    that of large readers; null has either chosen at each writer by leave-one-out error. ``centre`` is where the
    component of refused prompts is counted from, on the way from the mean answered prompt (0) to the mean refused one
    (1), or nought with null. ``replies`` positions of each of the base's own replies are left alone as well.
    ``protected_weight`` is how much refusals to be kept count beside each other population.
    """

    spare_weight: Annotated[float | None, Option("Weight of what is left alone", code="sw", per=100, place=8)] = Field(
        default=1.0, gt=0.0, allow_inf_nan=False
    )
    ridge: Annotated[float | None, Option("Ridge", code="ir", per=10000, place=9)] = Field(
        default=0.1, gt=0.0, allow_inf_nan=False
    )
    centre: Annotated[float | None, Option("Counted from", code="ce", per=100)] = Field(
        default=0.0, ge=0.0, lt=1.0, strict=True, allow_inf_nan=False
    )
    replies: Annotated[int, Option("Positions of a reply left alone", code="rp", place=11)] = Field(default=4, ge=0)
    protected_weight: Annotated[
        float, Option("Weight of kept refusals", code="pw", per=100, place=10, when=KEEPS_REFUSALS)
    ] = Field(default=1.0, gt=0.0, allow_inf_nan=False)


@dataclass(frozen=True, config=STRICT)
class ReadingOptions:
    """What a direction is taken out by: itself, an oblique projection of the output, or a regression on the input.

    ``spares`` are populations that a reader leaves alone, ``protects`` whether refusals in protected categories are
    kept. ``reader_layer`` says where a reader of outputs looks at those: where a direction acts, or at its own.
    """

    reader: Annotated[Reader, Option("Reader")] = "direction"
    spares: Annotated[Spares, Option("Reader spares", when=~when("reader", "direction"))] = "harmless"
    protects: Annotated[Protects, Option(when=READS_INPUTS)] = "categories"
    reader_layer: Annotated[Literal["acting", "own"], Option(when=READS_OUTPUTS & REACHES_FURTHER)] = "acting"
    reader_ridge: Annotated[float, Option(code="rr", per=1000, place=7, when=LEAST_DRIFT)] = Field(default=1.0, gt=0.0)
    inputs: Annotated[InputsConfig, Option(when=READS_INPUTS)] = InputsConfig()

    @property
    def keeps_refusals(self) -> bool:
        """Whether a reader of inputs leaves harmful prompts alone."""
        return KEEPS_REFUSALS.holds(self)
