"""A newcomer's three commands: a folder with a chat model and two text files become a front, a report, a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from tests.chat_model import make_chat_model
from tests.commands import Said, open_trials, run_here

NAME = "Tiny-Chat"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("models") / NAME
    return folder, make_chat_model(folder)


@pytest.fixture(scope="module")
def done(model: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Said]]:
    """The folder in which the three commands have run, and what they said."""
    folder = tmp_path_factory.mktemp("newcomer")
    path, files = model
    few = ["study.n_trials=3", "launch.trials_per_batch=3", "evaluate.max_new_tokens=8", "evaluate.n_bootstrap=100"]
    said = [run_here("sweep", ["+sweep=chat", f"model.path={path}", *files, *few], folder)]
    for command, more in (("frontier", []), ("export", ["point=aggressive"])):
        assert said[-1].status == 0, said[-1].err
        said.append(run_here(command, [f"study.name={NAME}", *more], folder))
    assert said[-1].status == 0, said[-1].err
    return folder, said


def test_what_was_taken_and_found_is_said(done: tuple[Path, list[Said]]) -> None:
    out = done[1][0].out
    assert "harmful.txt: 60 harmful prompts from 'prompt'" in out
    assert "splits (probe + tune + report): harmful 20 + 20 + 20, harmless 15 + 15 + 15, capability 5 + 5 + 5" in out
    assert "15 harmless prompts stand for ordinary use" in out
    assert "one unit of strength is" in out
    assert 0 < out.index("\nbase model") < out.index(f"study {NAME}: trials 1 to 3")
    assert "warning" not in out


def test_a_front_a_report_and_a_checkpoint_are_there(done: tuple[Path, list[Said]]) -> None:
    folder, _ = done
    study = folder / "sweeps" / NAME
    assert (study / "report.html").stat().st_size > 10_000
    assert (study / "frontier.csv").read_text().count("\n") > 1
    states = [trial.state.name for trial in open_trials(folder, NAME)]
    begun = [state for state in states if state != "WAITING"]  # more points are known than trials were asked for
    assert begun == ["COMPLETE"] * 3
    (checkpoint,) = (folder / "outputs").glob(f"{NAME}_*")
    assert AutoModelForCausalLM.from_pretrained(checkpoint).config.model_type == "llama"
    assert (checkpoint / "README.md").exists()


def test_the_name_alone_goes_on_with_the_study(done: tuple[Path, list[Said]]) -> None:
    folder, _ = done
    more = run_here("sweep", [f"study.name={NAME}", "study.n_trials=4"], folder)
    assert more.status == 0, more.err
    assert "trials 4 to 4" in more.out
    assert "scale:" not in more.out
    assert json.loads((folder / "sweeps" / NAME / "run.json").read_text())["needs"] == []


def test_a_base_that_does_not_refuse_stops_before_the_study(model: tuple[Path, list[str]], tmp_path: Path) -> None:
    path, _ = model
    swapped = [f"data.harmful={path}/harmless.txt", f"data.harmless={path}/harmful.txt"]
    said = run_here("sweep", ["+sweep=chat", f"model.path={path}", *swapped, "evaluate.max_new_tokens=8"], tmp_path)
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert "the unedited model refuses 0 of 20 harmful prompts" in said.err
    assert "Sure, take the" in said.err
    assert not list(tmp_path.rglob("study.db"))


def test_a_user_s_own_folder_of_configurations(model: tuple[Path, list[str]], tmp_path: Path) -> None:
    path, files = model
    own = tmp_path / "own"
    (own / "data").mkdir(parents=True)
    lines = "\n".join(word.removeprefix("data.").replace("=", ": ") for word in files)
    (own / "data" / "mine.yaml").write_text(f"source: sets\nn_probe: null\nn_capability: null\n{lines}\n")
    words = [f"--config-dir={own}", "+sweep=chat", "data=mine", f"model.path={path}", "study.n_trials=2"]
    few = [
        "launch.trials_per_batch=2",
        "evaluate.max_new_tokens=8",
        "evaluate.n_bootstrap=100",
        "study.find_scale=false",
    ]
    said = run_here("sweep", [*words, *few, "study.find_scale=false"], tmp_path)
    assert said.status == 0, said.err
    assert f"python -m saber.frontier --config-dir={own} +sweep=chat data=mine" in said.out


def test_words_that_need_the_sweep_s_name_are_refused(done: tuple[Path, list[Said]]) -> None:
    said = run_here("sweep", [f"study.name={NAME}", "+space.edit.reach={low: 1, high: 2}"], done[0])
    assert said.status == 2
    assert "name the sweep as well" in said.err
