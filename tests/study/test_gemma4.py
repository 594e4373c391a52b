"""``+sweep=gemma4`` end to end on an organism in the wrapper that the real checkpoint comes in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from transformers import AutoModelForCausalLM

from tests.commands import SMALL_SPLITS, Said, finish, open_trials, process, run_here
from tests.multimodal import save_in_wrapper

PUBLISHED = ("gemma4_e4b_auto_svd_nh60_a825_g14", "gemma4_e4b_auto_svd_a825_g14")


@pytest.fixture(scope="module")
def wrapped(organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wrapped") / "gemma-4-tiny-it"
    save_in_wrapper(organism_folder, out)
    return out


def words_for(model: Path, folder: Path, *more: str) -> list[str]:
    return [
        "+sweep=gemma4",
        f"model.path={model}",
        "model.dtype=float32",
        "model.device=cpu",
        "data=organism",
        f"study.dir={folder}/sweeps",
        f"export.dir={folder}/outputs",
        "study.n_trials=3",
        "study.sampler=random",
        "evaluate.max_new_tokens=12",
        "evaluate.n_bootstrap=100",
        "evaluate.batch_size=128",
        "launch.trials_per_batch=3",
        *SMALL_SPLITS,
        *more,
    ]


@pytest.fixture(scope="module")
def done(wrapped: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A folder in which the sweep, the frontier and the export of its second trial have run."""
    folder = tmp_path_factory.mktemp("gemma4")
    for command in ("sweep", "frontier"):
        said = run_here(command, words_for(wrapped, folder), folder)
        assert said.status == 0, said.err
    exported = run_here("export", words_for(wrapped, folder, "point=1"), folder)
    assert exported.status == 0, exported.err
    return folder, exported


def test_the_two_published_points_come_first(done: tuple[Path, Said]) -> None:
    trials = open_trials(done[0], "gemma4")
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    names = [str(trial.user_attrs["name"]) for trial in trials]
    assert names[0].startswith("nh60_a825_g14")
    assert names[1].startswith("nh49_a825_g14")
    assert [trial.params["data.n_probe"] for trial in trials[:2]] == [60, 49]


def test_the_published_rows_stand_beside_ours_as_another_protocol(done: tuple[Path, Said]) -> None:
    folder, _ = done
    page = (folder / "sweeps" / "gemma4" / "report.html").read_text()
    assert all(name in page for name in PUBLISHED)
    assert not set(PUBLISHED) & set(pd.read_csv(folder / "sweeps" / "gemma4" / "frontier.csv")["name"])
    (checkpoint,) = (path for path in (folder / "outputs").iterdir() if path.name.startswith("gemma4_"))
    card = (checkpoint / "README.md").read_text()
    assert "protocol" in card
    for name in PUBLISHED:
        assert name.replace("_", r"\_") in card or name in card
    (heading,) = (line for line in card.splitlines() if line.startswith("#") and "another protocol" in line.lower())
    assert card.index(heading) < min(card.index("0.4327"), card.index("0.3164"))


def test_the_export_is_the_whole_wrapper_with_only_writers_changed(done: tuple[Path, Said], wrapped: Path) -> None:
    folder, _ = done
    (checkpoint,) = (path for path in (folder / "outputs").iterdir() if path.name.startswith("gemma4_"))
    model, report = AutoModelForCausalLM.from_pretrained(checkpoint, output_loading_info=True)
    assert type(model).__name__ == "Gemma4ForConditionalGeneration"
    assert not report["missing_keys"]
    base = AutoModelForCausalLM.from_pretrained(wrapped).state_dict()
    changed = {name for name, tensor in model.state_dict().items() if not tensor.equal(base[name])}
    assert changed
    assert all("language_model" in name for name in changed)
    written = {writer.removesuffix(".weight").split(".")[-1] for writer in changed}
    assert written <= {"o_proj", "down_proj", "per_layer_projection"}
    about = json.loads((checkpoint / "saber.json").read_text())
    assert about["point"].startswith("nh49_a825_g14")


def test_an_unreachable_model_is_one_line_on_what_to_do(tmp_path: Path) -> None:
    words = ["+sweep=gemma4", "data=organism", f"study.dir={tmp_path}/sweeps"]
    with process("sweep", words, tmp_path) as sweep:
        said = finish(sweep)
    assert said.status == 2
    assert said.err.count("\n") == 1, said.err
    assert "could not reach model 'google/gemma-4-E4B-it'" in said.err
    assert "set model.path to a folder that you have downloaded, or model=organism" in said.err
    assert not (tmp_path / "sweeps" / "gemma4" / "study.db").exists()


def test_the_whole_command_without_a_network_says_what_it_could_not_reach(tmp_path: Path) -> None:
    with process("sweep", ["+sweep=gemma4", f"study.dir={tmp_path}/sweeps"], tmp_path) as sweep:
        said = finish(sweep)
    assert said.status == 2
    first, *mistakes = said.err.splitlines()  # the preflight says all that is wrong at once
    assert first == f"error: {len(mistakes)} mistakes:", said.err
    for line in mistakes:
        assert re.search("could not reach|is read with the datasets library: pip install", line), said.err
