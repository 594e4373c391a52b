"""What a study asks: everything that decides what a trial's numbers mean. It goes on only under the same question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import optuna

from saber.config import Config
from saber.keys import config_keys, default_of, value_of
from saber.study.context import Workbench
from saber.study.search.space import Knob
from saber.types import UserError

IDENTITY = "identity"
# What may change without making it another study: how fast it runs and how much it measures, not what a number means.
FREE_KEYS = ("evaluate.batch_size", "evaluate.n_bootstrap", "evaluate.beaten_trials", "evaluate.memory_gb")


def identity(config: Config, knobs: Sequence[Knob], bench: Workbench) -> dict[str, Any]:
    """Everything that decides what a trial's numbers mean; a study is continued only if it is the same."""
    searched = {knob.key for knob in knobs}
    return {
        "model": bench.model_digest,
        "system_prompt": config.model.system_prompt,
        "data": {name: split.digest for name, split in bench.splits.items()},
        "space": {knob.key: _spoken(knob) for knob in knobs},
        "objectives": [asdict(objective) for objective in config.study.objectives],
        "constraints": [asdict(constraint) for constraint in config.study.constraints],
        "fixed": {key: value_of(config, key) for key in _deciding_keys() if key not in searched},
        **({"chat": bench.adapter.chat.described} if bench.adapter.chat.described else {}),
    }


def stored_identity(study: optuna.Study) -> dict[str, Any]:
    """What a study was begun with; a key that is newer than the study has its default, under which nothing changes.

    Raises:
        UserError: ``saber.sweep`` did not begin it.
    """
    stored: dict[str, Any] | None = study.user_attrs.get(IDENTITY)
    if stored is None:
        raise UserError(f"expected study {study.study_name} to be of saber.sweep, found another's: name its own study")
    known = stored["fixed"].keys() | stored["space"].keys()
    newer = {key: default_of(key) for key in _deciding_keys() if key not in known}
    return {**stored, "fixed": stored["fixed"] | as_stored(newer)}


def check_identity(study: optuna.Study, asked: Mapping[str, Any]) -> None:
    """Compare what a study was begun with and what is asked now.

    Raises:
        UserError: they differ; the difference is shown.
    """
    changes = differences(stored_identity(study), as_stored(asked))
    if changes:
        raise UserError(
            f"study {study.study_name} was begun otherwise: {'; '.join(changes)};"
            " use another study.name or the old values"
        )


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Where two nested values differ: ``path: old -> new``, leaves only."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            line
            for key in sorted(old.keys() | new.keys())
            for line in differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if old == new else [f"{path}: {old} -> {new}"]


def as_stored(value: Mapping[str, Any]) -> Any:
    """As JSON gives it back: tuples are lists."""
    return json.loads(json.dumps(value))


def _deciding_keys() -> list[str]:
    """The keys that a trial's numbers depend on."""
    return [key for key in config_keys() if key.startswith(("edit.", "evaluate.", "data.n_")) and key not in FREE_KEYS]


def _spoken(knob: Knob) -> str:
    """A knob as a short text, so that a difference reads well."""
    if knob.choices:
        return f"choices {list(knob.choices)}"
    how = " log" if knob.log else f" step {knob.step}" if knob.step is not None else ""
    return f"{knob.low} to {knob.high}{how}"
