"""Several studies: each of a multirun has its own name, and fronts stand side by side where they are comparable."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from saber.command import apart
from saber.keys import with_values
from saber.publish.report.studies_page import overlay_path
from saber.scoring.pareto import hypervolume
from saber.study.front.comparisons import read_fronts
from saber.study.front.study_front import spoken_overrides
from saber.types import UserError
from tests.commands import configured, database, finish, process, run_here, words_of


def another(folder: Path, name: str) -> None:
    """A second study with the trials of the first, under its own name."""
    shutil.copytree(folder / "sweeps" / "organism", folder / "sweeps" / name)
    storage = f"sqlite:///{database(folder, name)}"
    optuna.copy_study(from_study_name="organism", from_storage=storage, to_storage=storage, to_study_name=name)
    optuna.delete_study(study_name="organism", storage=storage)


def test_an_overlay_lies_in_the_home_that_the_studies_folder_names(
    finished: Path, organism_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(finished))
    config = configured([*words_of(organism_folder, finished), "studies=[organism]"])
    at_home = with_values(config, {"study.dir": "~/sweeps"})
    page = overlay_path(read_fronts(at_home), at_home)
    assert page == finished / "sweeps" / "compared" / "organism.html"


def test_words_are_said_again_but_for_those_that_do_not_hold(organism_folder: Path, tmp_path: Path) -> None:
    words = ["+space.edit.decay={low: 0.5, high: 1.0}", "study.dir=/some where", "study.storage=sqlite:///x.db"]
    config = with_values(configured(words_of(organism_folder, tmp_path)), {"overrides": words})
    assert spoken_overrides(config, "study.dir=", "study.storage=") == "'+space.edit.decay={low: 0.5, high: 1.0}'"


def test_two_fronts_are_overlaid_with_their_hypervolumes(finished: Path, organism_folder: Path) -> None:
    another(finished, "twin")
    words = [*words_of(organism_folder, finished), "studies=[organism,twin]"]
    said = run_here("frontier", words, finished)
    assert said.status == 0, said.err
    page = finished / "sweeps" / "compared" / "organism+twin.html"
    rows = pd.read_csv(page.with_suffix(".csv"))
    assert set(rows["study"]) == {"organism", "twin"}
    halves = [rows[rows["study"] == name].reset_index(drop=True) for name in ("organism", "twin")]
    pd.testing.assert_frame_equal(halves[0].drop(columns="study"), halves[1].drop(columns="study"))
    expected = hypervolume(halves[0][["refusal_rate", "kld"]].to_numpy(), np.array([1.0, 0.1]))
    assert rows["hypervolume"].tolist() == pytest.approx([expected] * len(rows))
    assert f"mean {expected:.4f}, standard deviation 0.0000" in said.out
    text = page.read_text()
    assert all(str(name) in text for name in rows["name"])
    assert "twin" in text


@pytest.mark.parametrize(
    ("word", "difference"),
    [
        ("evaluate.max_new_tokens=13", r"protocol.evaluate.max_new_tokens: 12 -> 13"),
        ("study.objectives=[{metric:kld},{metric:refusal_rate}]", "has other objectives than asked here"),
    ],
)
def test_studies_of_two_protocols_or_objectives_are_not_overlaid(
    finished: Path, organism_folder: Path, word: str, difference: str
) -> None:
    other = words_of(organism_folder, finished, "study.n_trials=1", "study.name=other")
    assert run_here("sweep", [*other, word], finished).status == 0
    said = run_here("frontier", [*words_of(organism_folder, finished), "studies=[organism,other]"], finished)
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert re.search(difference, said.err)
    assert not (finished / "sweeps" / "compared").exists()


@pytest.mark.parametrize(
    ("studies", "complaint"),
    [
        ("[organism,organism]", "studies: expected different names"),
        ("[organism,nowhere]", "expected a study in"),
        ("[../x]", "studies.0: "),
    ],
)
def test_studies_that_cannot_be_read_are_named(
    finished: Path, organism_folder: Path, studies: str, complaint: str
) -> None:
    said = run_here("frontier", [*words_of(organism_folder, finished), f"studies={studies}"], finished)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert complaint in said.err


def test_each_study_of_a_multirun_has_a_name_of_its_own(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, "study.n_trials=1", "evaluate.max_new_tokens=4")
    with process("sweep", ["--multirun", *words, "organism.seed=0,1"], tmp_path) as sweep:
        said = finish(sweep)
    assert (said.status, said.err) == (0, "")
    assert {path.name for path in (tmp_path / "sweeps").iterdir()} == {"organism_seed0", "organism_seed1"}
    assert "study.name=organism_seed1" in said.out
    fronts = read_fronts(with_values(configured(words), {"studies": ["organism_seed0", "organism_seed1"]}))
    assert not fronts.same_prompts  # another seed speaks another language


def test_names_that_differ_stay_and_those_that_cannot_are_refused(organism_folder: Path, tmp_path: Path) -> None:
    config = configured(words_of(organism_folder, tmp_path))
    named = [with_values(config, {"study.name": name}) for name in ("a", "b")]
    assert apart(named) == named
    assert apart([config]) == [config]
    with pytest.raises(UserError, match="--multirun: expected a name for each study, found organism, organism;"):
        apart([config, config])
