"""Options of placement: at which writers a direction acts, and with what share of its strength."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.options.conditions import INTERPOLATED
from saber.options.option import Option, when
from saber.options.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class ComponentScale:
    """A factor on the strength per kind of writer; 0 leaves that kind alone."""

    attention: Annotated[float, Option(code="sa", per=100, place=23)] = Field(default=1.0, ge=0.0)
    mlp: Annotated[float, Option(code="sm", per=100, place=24)] = Field(default=1.0, ge=0.0)
    per_layer: Annotated[float, Option(code="sp", per=100, place=25)] = Field(default=1.0, ge=0.0)


@dataclass(frozen=True, config=STRICT)
class Tent:
    """Strength over depth: ``peak`` at ``position``, falling to ``floor`` at ``half_width`` away, 0 beyond."""

    peak: float = Field(default=1.0, ge=0.0)
    position: float = Field(default=0.6, ge=0.0, le=1.0)
    floor: float = Field(default=0.0, ge=0.0)
    half_width: float = Field(default=0.6, gt=0.0)


@dataclass(frozen=True, config=STRICT)
class KernelConfig:
    """The ``kernel`` scope: a tent per kind of writer, and whose direction acts at a layer.

    ``direction=per_layer`` uses each layer's own; ``global`` one for all layers, interpolated between the two
    layers around ``direction_position`` (a share of depth).
    """

    attention: Tent = Tent()
    mlp: Tent = Tent()
    per_layer: Tent = Tent()
    direction: Literal["per_layer", "global"] = "per_layer"
    direction_position: Annotated[
        float, Option(code="at", per=1000, place=14, when=when("kernel.direction", "global"))
    ] = Field(default=0.6, ge=0.0, le=1.0)


@dataclass(frozen=True, config=STRICT)
class ActingBand:
    """Where edits act: the writers of layers within these shares of depth, 0 the first block, 1 the last."""

    low: Annotated[float, Option("Edited from depth", code="el", per=100, place=12)] = Field(
        default=0.0, ge=0.0, le=1.0
    )
    high: Annotated[float, Option("Edited to depth", code="eh", per=100, place=13)] = Field(default=1.0, ge=0.0, le=1.0)


@dataclass(frozen=True, config=STRICT)
class PlacementOptions:
    """Where directions act: on their own ``layer``, within ``reach`` layers of it, everywhere, or under tents."""

    scope: Annotated[Literal["layer", "band", "all", "kernel"], Option("Scope")] = "layer"
    reach: Annotated[int, Option(code="r", place=19, when=when("scope", "band"))] = Field(default=1, ge=0)
    acting_band: ActingBand = ActingBand()
    component_scale: ComponentScale = ComponentScale()
    kernel: Annotated[KernelConfig, Option(when=when("scope", "kernel"))] = KernelConfig()

    @property
    def is_interpolated(self) -> bool:
        """Whether one direction, interpolated between two layers, acts under the tents of every layer."""
        return INTERPOLATED.holds(self)
