"""SABER: entanglement-aware refusal shaping of chat models, searched as a multi-objective problem."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "load": "saber.lm.loading.load",
    "adapt": "saber.lm.architecture.adapter",
    "EditPlan": "saber.types",
    "applied": "saber.lm.editing.apply",
    "bake": "saber.lm.editing.apply",
    "load_plan": "saber.lm.editing.plan_file",
    "configure": "saber.command",
    "frontier_of": "saber.study.front.study_front",
    "run_study": "saber.study.run.session",
    "measure": "saber.lm.evaluation.measurement",
    "label": "saber.scoring.labelling",
    "with_thinking": "saber.lm.inference.thinking",
}

__all__ = [
    "EditPlan",
    "__version__",
    "adapt",
    "applied",
    "bake",
    "configure",
    "frontier_of",
    "label",
    "load",
    "load_plan",
    "measure",
    "run_study",
    "with_thinking",
]


def __getattr__(name: str) -> Any:
    """Hand on a public name from its home on first use, so that ``import saber`` loads no torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'saber' has no attribute {name!r}")
