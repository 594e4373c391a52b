"""The default sweep end to end: inputs read, protected refusals spared, published and exported as it was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.commands import SMALL_SPLITS, Said, run_here


def words_for(organism: Path, folder: Path, *more: str) -> list[str]:
    return [
        "+sweep=organism",
        f"model.path={organism}",
        f"study.dir={folder}/sweeps",
        f"export.dir={folder}/outputs",
        "study.n_trials=3",
        "study.sampler=random",
        "study.constraints=[]",  # a quickly trained organism refuses for other reasons than a trained one
        "evaluate.max_new_tokens=12",
        "evaluate.n_bootstrap=100",
        *SMALL_SPLITS,
        *more,
    ]


@pytest.fixture(scope="module")
def done(organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Said]]:
    """A folder in which the sweep, the frontier and an export have run, with what they said."""
    folder = tmp_path_factory.mktemp("default")
    said: dict[str, Said] = {}
    for command, more in (("sweep", ()), ("frontier", ()), ("export", ("point=0", "export.format=adapter"))):
        said[command] = run_here(command, words_for(organism_folder, folder, *more), folder)
        assert said[command].status == 0, said[command].err
    return folder, said


def test_it_says_that_protected_refusals_are_spared_and_what_inputs_take(done: tuple[Path, dict[str, Said]]) -> None:
    said = done[1]["sweep"].out
    assert "are spared; edit.protects=none takes them away too" in said
    assert "inputs of 30 writers at" in said


def test_unprotected_and_protected_refusals_stand_apart(done: tuple[Path, dict[str, Said]]) -> None:
    table = pd.read_csv(done[0] / "sweeps" / "organism" / "frontier.csv")
    for split in ("tune", "report"):
        parts = {name: table[f"{split}_{name}_refusal_rate"] for name in ("unprotected", "protected")}
        counts = {name: table[f"{split}_{name}_refusal_rate_n"] for name in parts}
        assert (counts["unprotected"] + counts["protected"] == table[f"{split}_refusal_rate_n"]).all()
        refused = sum(parts[name] * counts[name] for name in parts)
        pd.testing.assert_series_equal(
            refused / table[f"{split}_refusal_rate_n"], table[f"{split}_refusal_rate"], check_names=False
        )


def test_an_adapter_of_a_point_that_reads_inputs_measures_as_its_trial_did(done: tuple[Path, dict[str, Said]]) -> None:
    (folder,) = (path.parent for path in (done[0] / "outputs").rglob("saber.json"))
    about = json.loads((folder / "saber.json").read_text())
    assert about["config"]["edit"]["reader"] == "inputs"
    assert "- Protected categories: their refusals are spared" in (folder / "README.md").read_text()
