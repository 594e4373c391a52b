"""A control: a sweep with one thing changed, in its configuration or in the core while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from saber.config import Config
from saber.keys import with_values
from saber.lm.steps import Steps

Patch = Callable[[int], AbstractContextManager[None]]


def own_steps(_seed: int) -> Steps:
    """The method's own."""
    return Steps()


def nothing(_seed: int) -> AbstractContextManager[None]:
    """Replace nothing."""
    return nullcontext()


@dataclass(frozen=True)
class Control:
    """One thing changed: keys with a ``fixed`` value, keys that so decide nothing, steps of the method taken otherwise
    (for the search's seed), and what is replaced in the core.
    """

    fixed: Mapping[str, Any] = field(default_factory=dict)
    idle: tuple[str, ...] = ()
    steps: Callable[[int], Steps] = own_steps
    patch: Patch = nothing

    def applied_to(self, config: Config) -> Config:
        """The configuration with those keys fixed, and neither searched nor named in a known point."""
        gone = {*self.fixed, *self.idle}
        enqueue = [{k: v for k, v in point.items() if k not in gone} for point in config.study.enqueue]
        space = without(config.space, gone)
        return with_values(config, {"space": space, "study.enqueue": tuple(enqueue), **self.fixed})


def without(space: Mapping[str, Any], keys: set[str], prefix: str = "") -> dict[str, Any]:
    """A space, nested or dotted, less some keys."""
    kept: dict[str, Any] = {}
    for name, value in space.items():
        path = f"{prefix}{name}"
        if path not in keys:
            below = any(key.startswith(f"{path}.") for key in keys)
            kept[name] = without(value, keys, f"{path}.") if below else value
    return kept
