"""The benchmarks are scripts that import each other from their own folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def named_organism(tmp_path: Path) -> Path:
    """A folder that says its seed: enough to configure a cell, not to run it."""
    folder = tmp_path / "seed7"
    folder.mkdir()
    (folder / "organism.json").write_text(json.dumps({"seed": 7}))
    return folder
