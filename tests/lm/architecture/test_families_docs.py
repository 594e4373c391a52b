"""The page on families has the table that the rows give, and its example adds a family that works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from saber.lm.architecture.adapter import adapt
from saber.lm.architecture.families import FAMILIES
from saber.lm.architecture.family_table import in_page
from saber.lm.architecture.verify import verify_writers
from saber.lm.editing.apply import applied, bake
from saber.lm.loading.load import build_model
from saber.types import EditPlan
from saber.writers import main
from tests.conftest import randomise
from tests.lm.families import SMALL
from tests.lm.plans import logits, relative, share_along, unit

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "families.md").read_text()


def test_the_table_is_what_the_rows_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_page(PAGE) == PAGE, "put what python -m saber.writers --table prints between the marks"
    assert main(["--table"]) == 0
    said = capsys.readouterr().out
    assert said.strip() in PAGE
    assert all(f"`{name}`" in said for name in FAMILIES)


def test_the_example_adds_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(example.splitlines()) < 20
    monkeypatch.setitem(FAMILIES, "phi", None)  # so that what the example puts there is taken out again
    exec(example, {})
    model = build_model("phi", SMALL)
    randomise(model)
    adapter = adapt(model, None)
    error = verify_writers(adapter)
    assert error is not None
    assert error < 1e-6
    r = unit(adapter.d_model, 1, 0)
    plan = EditPlan.from_directions({l: (r, torch.ones(1)) for l in range(adapter.n_layers)})
    with applied(adapter, [plan]):
        assert share_along(adapter, r[:, 0]) < 1e-5
        virtual = logits(adapter)
    bake(adapter, plan)
    assert relative(logits(adapter), virtual) < 1e-5
