"""Controls of what reads inputs: the default sweep, no refusal spared, with one part of that reader taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from control import Control

from saber.lm import input_reading
from saber.method.populations import Populations, populations
from saber.types import LookedAt

RIDGE, WEIGHT, CENTRE = "edit.inputs.ridge", "edit.inputs.spare_weight", "edit.inputs.centre"
ATTENTION = "edit.component_scale.attention"


@contextmanager
def no_capability(_seed: int = 0) -> Iterator[None]:
    """Leave capability prompts, and the base's replies to them, out of what is left alone."""

    def without(rows: LookedAt, *, sizes: tuple[int, int, int], **others: Any) -> Populations:
        return populations(rows, sizes=(sizes[0], 0, sizes[2]), **others)

    with patch.object(input_reading, "populations", without):
        yield


def _only(kind: str) -> Control:
    """Writers of one kind, at full strength; others as they are."""
    kinds = ("attention", "mlp", "per_layer")
    return Control(fixed={f"edit.component_scale.{other}": float(other == kind) for other in kinds})


INPUT_CONTROLS: Mapping[str, Control] = {
    "attention-full": Control(fixed={ATTENTION: 1.0}),
    "from-answered": Control(fixed={CENTRE: 0.0}),
    "no-centre": Control(fixed={CENTRE: None}),
    "no-replies": Control(fixed={"edit.inputs.replies": 0}),
    "no-capability": Control(patch=no_capability),
    "left-out-ridge": Control(fixed={RIDGE: None}),
    "fixed-weights": Control(fixed={RIDGE: 0.1, WEIGHT: 1.0}),
    "probes-24": Control(fixed={"data.n_probe": 24}),
    "probes-128": Control(fixed={"data.n_probe": 128}),
    "attention-only": _only("attention"),
    "mlp-only": _only("mlp"),
}
