"""What a point was run with: its searched parameters over the study's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saber.types import Frontier, FrontierPoint


def setting(frontier: Frontier, point: FrontierPoint | None, key: str) -> Any:
    """The value of a dotted key, searched or configured; ``None`` where neither says."""
    if point is not None and key in point.params:
        return point.params[key]
    node: Any = frontier.settings
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node


def probe_counts(frontier: Frontier, point: FrontierPoint) -> tuple[int | None, int | None, int | None]:
    """Harmful, harmless and capability prompts that directions were extracted from, capped by what the split holds."""
    wanted = {
        "harmful": setting(frontier, point, "data.n_probe"),
        "harmless": setting(frontier, point, "data.n_probe"),
        "capability": setting(frontier, point, "data.n_capability"),
    }
    counts: list[int | None] = []
    for kind, n in wanted.items():
        held = setting(frontier, None, f"data.probe.{kind}")
        counts.append(min(int(n), int(held)) if n is not None and held else n)
    return counts[0], counts[1], counts[2]


def protected_categories(frontier: Frontier) -> frozenset[str]:
    """Categories whose refusals should be kept: ``settings["protected"]`` and those of the data's sets."""
    found = {str(name) for name in setting(frontier, None, "protected") or ()}
    for source in setting(frontier, None, "data.sets") or ():
        found |= {str(name) for name in source.get("protected", ())}
    return frozenset(found)
