"""What a point was run with: its searched parameters over the study's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from saber.config import EditConfig
from saber.types import Frontier, FrontierPoint

EDIT = TypeAdapter(EditConfig)


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


def edit_of(frontier: Frontier, point: FrontierPoint) -> EditConfig:
    """The edit that a point was planned with; what the study does not say has its default."""
    plain = EDIT.dump_python(EDIT.validate_python(setting(frontier, None, "edit") or {}))
    for key, value in point.params.items():
        section, *parents, leaf = key.split(".")
        if section == "edit":
            node = plain
            for part in parents:
                node = node[part]
            node[leaf] = value
    edit: EditConfig = EDIT.validate_python(plain)
    return edit


def probe_counts(frontier: Frontier, point: FrontierPoint) -> dict[str, int | None]:
    """How many prompts of each kind directions were extracted from, capped by what the split holds.

    Borderline ones are among them where false refusals were looked for, or answered ones spared.
    """
    pairs, capability = (setting(frontier, point, key) for key in ("data.n_probe", "data.n_capability"))
    wanted = {"harmful": pairs, "harmless": pairs, "capability": capability}
    if edit_of(frontier, point).looks_at_borderline:
        wanted["borderline"] = setting(frontier, point, "data.n_borderline") or pairs
    held = {kind: setting(frontier, None, f"data.probe.{kind}") for kind in wanted}
    return {kind: min(int(n), int(held[kind])) if n is not None and held[kind] else n for kind, n in wanted.items()}


def protected_categories(frontier: Frontier) -> frozenset[str]:
    """Categories whose refusals should be kept: ``settings["protected"]`` and those of the data's sets."""
    names = {str(name) for name in setting(frontier, None, "protected") or ()}
    for source in setting(frontier, None, "data.sets") or ():
        names |= {str(name) for name in source.get("protected", ())}
    return frozenset(names)
