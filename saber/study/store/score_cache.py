"""What was scored before is kept in a JSON file, and is not scored again while it means the same."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from saber.atomic_files import write_atomically
from saber.lm.evaluation.measurement import Measured
from saber.lm.evaluation.outcomes import outcomes_of
from saber.study.store.records import metrics_from_json, metrics_to_json
from saber.types import Metrics, Outcomes, digest_json


class Kept:
    """A JSON file of rows that belong to one key; under another key it starts anew."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self.rows: dict[str, Any] = {}
        if path.exists():
            try:
                stored = json.loads(path.read_text(encoding="utf-8"))
                self.rows = _checked(stored) if stored["key"] == key else {}
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                warnings.warn(f"{path.name} is damaged ({error}); it is scored again", stacklevel=2)

    def add(self, rows: dict[str, Any]) -> None:
        """Add rows and write the file atomically."""
        self.rows |= rows
        write_atomically(self.path, json.dumps({"key": self.key, "sums": _sums(self.rows), "rows": self.rows}))


def _checked(stored: Any) -> dict[str, Any]:
    """The stored rows, each compared with its checksum."""
    rows = dict(stored["rows"])
    if not _sums(rows).items() <= stored["sums"].items():
        raise ValueError("a checksum differs")
    return rows


def _sums(rows: dict[str, Any]) -> dict[str, str]:
    """A checksum of each row under its name, as JSON gives them back: a tuple is a list, a key is text."""
    return {name: digest_json([name, row]) for name, row in json.loads(json.dumps(rows)).items()}


def measured_to_json(measured: Measured) -> Any:
    """Metrics with the outcomes of each prompt, as plain JSON values."""
    return {**metrics_to_json(measured.metrics), "outcomes": outcomes_of(measured.responses)}


def measured_from_json(row: Any) -> tuple[Metrics, Outcomes]:
    """The inverse of `measured_to_json`; a row from before outcomes were kept has none."""
    outcomes = {name: tuple(values) for name, values in row.get("outcomes", {}).items()}
    return metrics_from_json({name: value for name, value in row.items() if name != "outcomes"}), outcomes
