"""The method's knobs: every one of them changes the plan."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.config.strict import STRICT
from saber.vocabulary import Contrast, Extraction, LayerStrategy, Position, Protects, Purification, Spares


@dataclass(frozen=True, config=STRICT)
class DepthBand:
    """Candidate layers as shares of depth: 0 is the first block, 1 the last."""

    low: float = Field(default=0.2, ge=0.0, le=1.0)
    high: float = Field(default=0.8, ge=0.0, le=1.0)


@dataclass(frozen=True, config=STRICT)
class ComponentScale:
    """A factor on the strength per kind of writer; 0 leaves that kind alone."""

    attention: float = Field(default=1.0, ge=0.0)
    mlp: float = Field(default=1.0, ge=0.0)
    per_layer: float = Field(default=1.0, ge=0.0)


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
    direction_position: float = Field(default=0.6, ge=0.0, le=1.0)


@dataclass(frozen=True, config=STRICT)
class ActingBand:
    """Where edits act: the writers of layers within these shares of depth, 0 the first block, 1 the last."""

    low: float = Field(default=0.0, ge=0.0, le=1.0)
    high: float = Field(default=1.0, ge=0.0, le=1.0)


@dataclass(frozen=True, config=STRICT)
class InputsConfig:
    """The ``inputs`` reader: ridge regression of what is to go on what goes into a writer.

    ``spare_weight`` (lambda) is what drift on prompts left alone costs beside what stays of refusal, ``ridge`` (mu)
    that of large readers; null has either chosen at each writer by leave-one-out error. ``centre`` takes refused
    prompts to where answered ones are, not to zero. ``replies`` positions of each of the base's own replies are left
    alone as well. ``protected_weight`` is how much refusals to be kept count beside each other population.
    """

    spare_weight: float | None = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    ridge: float | None = Field(default=0.1, gt=0.0, allow_inf_nan=False)
    centre: bool = True
    replies: int = Field(default=4, ge=0)
    protected_weight: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)


@dataclass(frozen=True, config=STRICT)
class EditConfig:
    """The method's knobs (DESIGN 2): every one of them changes the plan. A negative alpha amplifies what it reads.

    ``position`` is the token whose residual stream directions are found in: the ``last`` one of the prompt, the
    ``last_instruction`` one of the user's own text, or the ``end_of_thought``, behind the base's own thought.
    ``strength_unit`` multiplies every strength; null is what ``study.find_scale`` finds, or 1 where it is not asked.
    ``winsorise`` below 1 clips each activation's entries to that quantile of their sizes before directions are
    extracted, for a model with massive dimensions.
    """

    contrast: Contrast = "refusal"
    position: Position = "last"
    outside_refusal: float = Field(default=1.0, ge=0.0, le=1.0)
    extraction: Extraction = "svd"
    n_directions: int = Field(default=4, ge=1)
    winsorise: float = Field(default=1.0, gt=0.5, le=1.0)
    purify: Purification = "harmless_mean"
    purify_rank: int = Field(default=8, ge=1)
    fdr_folds: int = Field(default=1, ge=1)
    n_capability_directions: int = Field(default=10, ge=1)
    depth_band: DepthBand = DepthBand()
    layer_strategy: LayerStrategy = "all"
    layer_top_k: int = Field(default=10, ge=1)
    layer_threshold: float = Field(default=1.0, ge=0.0)
    layer_percentile: float = Field(default=50.0, ge=0.0, le=100.0)
    global_top_k: int = Field(default=14, ge=1)
    strength: Literal["blended", "decomposed", "uniform"] = "blended"
    strength_unit: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    alpha_base: float = Field(default=0.825, allow_inf_nan=False)
    alpha_entangled: float = Field(default=0.03, allow_inf_nan=False)
    entanglement_threshold: float = Field(default=0.55, ge=0.0, le=1.0)
    scope: Literal["layer", "band", "all", "kernel"] = "layer"
    reach: int = Field(default=1, ge=0)
    acting_band: ActingBand = ActingBand()
    component_scale: ComponentScale = ComponentScale()
    kernel: KernelConfig = KernelConfig()
    reader: Literal["direction", "least_drift", "inputs"] = "direction"
    spares: Spares = "harmless"
    protects: Protects = "categories"
    reader_layer: Literal["acting", "own"] = "acting"
    reader_ridge: float = Field(default=1.0, gt=0.0)
    inputs: InputsConfig = InputsConfig()
    norm_preserve: Literal["none", "row", "unit_row"] = "none"
    max_iterations: int = Field(default=4, ge=1)
    decay: float = Field(default=1.0, gt=0.0)
    tolerance: float = Field(default=0.0, ge=0.0)
    stable_cosine: float = Field(default=0.98, ge=0.0, le=1.0)
    patience: int = Field(default=2, ge=1)

    @property
    def unit(self) -> float:
        """What every strength is multiplied by."""
        return 1.0 if self.strength_unit is None else self.strength_unit

    @property
    def is_interpolated(self) -> bool:
        """Whether one direction, interpolated between two layers, acts under the tents of every layer."""
        return self.scope == "kernel" and self.kernel.direction == "global"

    @property
    def looks_at_borderline(self) -> bool:
        """Whether borderline prompts of the probe split decide the plan."""
        return self.contrast == "false_refusal" or (self.reader == "inputs" and "answered" in self.spares)

    @property
    def keeps_refusals(self) -> bool:
        """Whether a reader of inputs leaves harmful prompts alone."""
        return self.protects != "none" or self.spares in ("harmful", "harmful_and_answered", "protected_and_answered")
