"""The quick organism as a loaded model, and a few of its prompts of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from saber.lm.architecture.adapter import Adapter
from saber.lm.loading.load import load, quiet
from saber.organism.prompt_sets import organism_splits
from saber.types import PROMPT_KINDS, Split


@pytest.fixture(scope="module")
def adapter(organism_folder: Path) -> Adapter:
    """The quick organism in float32; do not bake into it."""
    quiet()
    return load(str(organism_folder), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def split(request: pytest.FixtureRequest) -> Split:
    """The first tune prompts of each kind, as many as ``PER_KIND`` of the test's file says."""
    tune = organism_splits(0)["tune"]
    n = request.module.PER_KIND
    return Split("tune", tuple(prompt for kind in PROMPT_KINDS for prompt in tune.of(kind)[:n]))
