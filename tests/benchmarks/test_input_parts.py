"""Parts of reading inputs: a ladder stops at the first strength that serves, and drift is compared where both serve."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import input_parts
import pytest
from control import Control
from input_parts import LADDER, PART, VARIANTS, least_strength, shown
from saber_worker import composed


def point(strength: float, kld: float) -> dict[str, Any]:
    drift = {f"kld_{name}": kld for name in ("response", "first", "prompt")}
    return {"strength": strength, "report": {"refusal_rate": 0.01, **drift}}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A workbench whose edits leave 1 - strength / 2 refused, in the place of a model."""

    def planned(_bench: Any, configs: Any, _rows: int) -> list[Any]:
        return [SimpleNamespace(compiled=config.edit) for config in configs]

    def measured(_adapter: Any, split: str, _profile: Any, _reference: Any, plans: Any) -> list[Any]:
        return [SimpleNamespace(metrics={"refusal_rate": 1 - plan.alpha_base / 2}, on=split) for plan in plans]

    monkeypatch.setattr(input_parts, "plan_trials", planned)
    monkeypatch.setattr(input_parts, "measure_trials", measured)
    monkeypatch.setattr(input_parts, "numbers", dict)
    config = composed(["+sweep=organism"])
    return SimpleNamespace(config=config, adapter=None, splits={"tune": "tune"}, reference=None, inputs=None)


def test_the_ladder_is_gone_up_to_the_first_strength_that_leaves_few_refused(bench: Any) -> None:
    side: Any = SimpleNamespace(split="report", reference=None)
    found = least_strength(bench, side, Control())
    assert found is not None
    assert found["strength"] == min(strength for strength in LADDER if 1 - strength / 2 <= 0.02)
    assert found["report"]["refusal_rate"] == pytest.approx(1 - found["strength"] / 2)


def test_a_part_that_never_serves_has_no_point(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_parts, "LADDER", (0.5, 1.0))
    assert least_strength(bench, SimpleNamespace(split="report", reference=None), Control()) is None  # type: ignore[arg-type]


def test_drift_is_compared_on_the_organisms_that_both_serve() -> None:
    rows: dict[str, dict[str, Any]] = {
        name: {variant: point(1.0, 0.004) for variant in VARIANTS} | {"no centre": point(1.1, kld), "mu 1": None}
        for name, kld in (("a", 0.008), ("b", 0.004), ("c", 0.006))
    }
    rows["c"]["no centre"] = None
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in shown(rows).splitlines()[2:]}
    assert lines[PART].split(" | ")[1:5] == ["3 of 3", "1.00 to 1.00", "1.0% (1.0% to 1.0%)", "1.00 (1.00-1.00)"]
    assert lines["no centre"].split(" | ")[1:5] == ["2 of 3", "1.10 to 1.10", "1.0%", "1.50"]
    assert lines["mu 1"].split(" | ")[1] == "0 of 3"
