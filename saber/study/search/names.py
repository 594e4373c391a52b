"""Points are named from what was searched: nh60_a825_g14 has 60 probes, alpha_base 0.825 and global top-k 14."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

# Code and how its number is written: as it is, or in hundredths or thousandths. In the order in which names are built.
CODES: dict[str, tuple[str, int]] = {
    "data.n_probe": ("nh", 1),
    "edit.alpha_base": ("a", 1000),
    "edit.global_top_k": ("g", 1),
    "edit.alpha_entangled": ("ae", 1000),
    "edit.entanglement_threshold": ("t", 100),
    "edit.max_iterations": ("it", 1),
    "edit.reader_ridge": ("rr", 1000),
    "edit.inputs.spare_weight": ("sw", 100),
    "edit.inputs.ridge": ("ir", 10000),
    "edit.inputs.protected_weight": ("pw", 100),
    "edit.inputs.replies": ("rp", 1),
    "edit.acting_band.low": ("el", 100),
    "edit.acting_band.high": ("eh", 100),
    "edit.kernel.direction_position": ("at", 1000),
    "edit.outside_refusal": ("out", 100),
    "edit.winsorise": ("w", 1000),
    "edit.n_directions": ("d", 1),
    "edit.decay": ("dc", 100),
    "edit.reach": ("r", 1),
    "edit.n_capability_directions": ("nc", 1),
    "edit.purify_rank": ("q", 1),
    "edit.fdr_folds": ("f", 1),
    "edit.component_scale.attention": ("sa", 100),
    "edit.component_scale.mlp": ("sm", 100),
    "edit.component_scale.per_layer": ("sp", 100),
    "edit.depth_band.low": ("bl", 100),
    "edit.depth_band.high": ("bh", 100),
    "data.n_capability": ("ncap", 1),
    "data.n_borderline": ("nb", 1),
}

MINUS = "m"  # a name is letters and digits
LONGEST = 90  # characters, so that a folder is named after study and point
LARGEST = 10**9  # beyond it a value is written as it is, not in hundredths


def point_name(params: Mapping[str, Any], taken: Collection[str], number: int) -> str:
    """Name a point; a name that is taken gets the trial number."""
    known = [key for key in CODES if key in params]
    others = sorted(key for key in params if key not in CODES)
    words = [_coded(key, params[key]) for key in known] + [_spelt(key, params[key]) for key in others]
    name = "_".join(filter(None, words))
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}_n{number}"
    name = name or "point"
    return f"{name}_n{number}" if name in taken else name


def _coded(key: str, value: Any) -> str:
    code, unit = CODES[key]
    if unit == 1 or abs(value) > LARGEST:
        return re.sub(r"[^A-Za-z0-9]+", "", f"{code}{value}".replace("-", MINUS))
    width = len(str(unit)) - 1
    return f"{code}{MINUS if value < 0 else ''}{round(abs(float(value)) * unit):0{width}d}"


def _spelt(key: str, value: Any) -> str:
    """A choice by its own word; a number behind the initials of its key."""
    if isinstance(value, str):
        return re.sub(r"[^A-Za-z0-9]+", "", value)
    initials = "".join(word[0] for part in key.split(".")[1:] for word in part.split("_"))
    return re.sub(r"[^A-Za-z0-9]+", "", f"{initials}{value:g}" if isinstance(value, float) else f"{initials}{value}")
