"""Options of ranking: what directions are found in, how, and what they are measured against."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.options.option import Option, when
from saber.options.strict import STRICT
from saber.vocabulary import Contrast, Extraction, Position, Purification


@dataclass(frozen=True, config=STRICT)
class RankingOptions:
    """How directions are found and ranked.

    ``position`` is the token whose residual stream they are found in: the ``last`` one of the prompt, the
    ``last_instruction`` one of the user's own text, or the ``end_of_thought``, behind the base's own thought.
    ``outside_refusal`` is the share of the layer's true refusal direction taken out of both sides of a false refusal.
    ``winsorise`` below 1 clips each activation's entries to that quantile of their sizes before directions are
    extracted, for a model with massive dimensions. With ``fdr_folds`` above 1 a direction's ratio is cross-validated.
    """

    contrast: Annotated[Contrast, Option("Contrast")] = "refusal"
    position: Position = "last"
    outside_refusal: Annotated[float, Option(code="out", per=100, place=15, when=when("contrast", "false_refusal"))] = (
        Field(default=1.0, ge=0.0, le=1.0)
    )
    extraction: Annotated[Extraction, Option("Extraction")] = "svd"
    n_directions: Annotated[
        int, Option("Directions per layer", code="d", place=17, when=~when("extraction", "dim"))
    ] = Field(default=4, ge=1)
    winsorise: Annotated[float, Option(code="w", per=1000, place=16)] = Field(default=1.0, gt=0.5, le=1.0)
    purify: Annotated[Purification, Option("Purification")] = "harmless_mean"
    purify_rank: Annotated[int, Option(code="q", place=21, when=when("purify", "subspace"))] = Field(default=8, ge=1)
    fdr_folds: Annotated[int, Option(code="f", place=22)] = Field(default=1, ge=1)
    n_capability_directions: Annotated[int, Option(code="nc", place=20)] = Field(default=10, ge=1)
