"""Slips on the command line: the word as it was typed, and the word that was likely meant, which then is read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from saber.command_words import read_words
from saber.config import Config
from saber.vocabulary import Mistakes, UserError
from tests.commands import run_here


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.path=/m/a#b"], """cannot read model.path=/m/a#b: quote its value, 'model.path="/m/a#b"'"""),
        (["checkpoint=outputs/epoch=3"], """quote its value, 'checkpoint="outputs/epoch=3"'"""),
        (["model.path=/home/jürgen/m"], """quote its value, 'model.path="/home/jürgen/m"'"""),
        (["study.objectives=[{metric:kld}"], "close its brackets and quotes"),
        (["sweep=organism"], "expected one + before sweep, found sweep=organism; did you mean +sweep=organism?"),
        (["++sweep=organism"], "expected one + before sweep, found ++sweep=organism; did you mean +sweep=organism?"),
        (["sweep=organsm"], "did you mean +sweep=organism?"),
        (["n_trials=5"], "unknown key n_trials; did you mean study.n_trials=5?"),
        (["data.n_trials=5"], "unknown key data.n_trials; did you mean study.n_trials=5?"),
        (["path=x"], "unknown key path; did you mean model.path=x or judge.path=x?"),
        (["+sweeep=organism"], "unknown key sweeep; did you mean +sweep=organism?"),
        (["Sweep=organism"], "unknown key Sweep; did you mean +sweep=organism?"),
        (["Evaluate=default"], "unknown key Evaluate; did you mean evaluate=default?"),
        (
            ["+sweep=organismstudy.n_trials=+20"],
            "expected a space before study.n_trials, found +sweep=organismstudy.n_trials=+20;"
            " did you mean +sweep=organism study.n_trials=+20?",
        ),
        (["edit=arditi~judge=none"], "did you mean edit=arditi '~judge=none'?"),
        (["study.n_trials:5"], "expected key=value, found study.n_trials:5; did you mean study.n_trials=5?"),
        (["~space.}data"], "cannot read ~space.}data: expected ~ and a key"),
        (["+sweep={}"], "expected the name of a file, one of chat, gemma4,"),
        (["study.n_trials==5"], "expected one =, found study.n_trials==5; did you mean study.n_trials=5?"),
        (["trials=5"], "unknown key trials; did you mean study.n_trials=5?"),
        (["MODEL.PATH=x"], "unknown key MODEL.PATH; did you mean model.path"),
        (["--sweep=organism"], "unknown flag --sweep=organism; did you mean +sweep=organism?"),
        (["--study.n_trials", "5"], "unknown flag --study.n_trials; did you mean study.n_trials=5?"),
        (["--multirn"], "unknown flag --multirn; did you mean --multirun?"),
        (["-x"], "unknown flag -x; words are key=value, and --help lists the flags"),
        (["--cfg", "jobs"], "expected --cfg job or hydra or all, found jobs"),
        (["--cfg"], "expected --cfg job or hydra or all, found none"),
        (["--config-dir"], "expected a value behind --config-dir, found none"),
        (["+studdy.name=x"], "unknown key studdy.name; did you mean study.name=x"),
        (["+stud={name: x}"], "unknown key stud; did you mean 'study={name: x}'"),
        (["space={}"], "expected values, found space={}, which changes nothing; did you mean '~space'?"),
        (["organism"], "found organism; did you mean model=organism or +sweep=organism or"),
        (["study.n_trials", "=", "5"], "expected no space around =, found study.n_trials = 5; did you mean study.n_"),
        (
            ["study.n_trials=", "5"],
            "expected no space around =, found study.n_trials= 5; did you mean study.n_trials=5",
        ),
        (
            ["study.n_trials", "=5"],
            "expected no space around =, found study.n_trials =5; did you mean study.n_trials=5",
        ),
        (["edit.alpha_base=0,5"], "found a comma in edit.alpha_base=0,5; did you mean edit.alpha_base=0.5?"),
        (["evaluate.marker_list=en,de"], "did you mean 'evaluate.marker_list=[en,de]'?"),
        (["model.path=/m/a,b"], """did you mean 'model.path="/m/a,b"'?"""),
        (["edit=saber,arditi"], "found several values in edit=saber,arditi: with --multirun each part is a study"),
    ],
)
def test_a_slip_is_named_as_it_was_typed_with_what_was_meant(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        read_words(words)
    assert "\n" not in str(caught.value)
    assert "++" not in str(caught.value).replace("found ++", "")


@pytest.mark.parametrize("word", ["model.path=/m/a#b", "checkpoint=outputs/epoch=3", "model.path=it's", "point=a;b"])
def test_the_word_that_is_shown_quoted_can_be_typed(word: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="quote its value") as caught:
        read_words([word])
    (typed,) = shlex.split(str(caught.value).partition("quote its value, ")[2])
    seen: list[Config] = []
    assert run_here("sweep", ["+sweep=organism", typed], tmp_path, seen.append).status == 0
    key, _, value = word.partition("=")
    of = {"model.path": seen[0].model.path, "checkpoint": seen[0].checkpoint, "point": seen[0].point}
    assert of[key] == value


def test_all_slips_of_a_line_are_said_at_once(tmp_path: Path) -> None:
    said = run_here("sweep", ["sweep=organism", "n_trials=5", "model.path=a#b"], tmp_path)
    assert said.status == 2
    head, *mistakes = said.err.splitlines()
    assert head == "error: 3 mistakes:"
    assert [line.split()[1] for line in mistakes] == ["expected", "unknown", "cannot"]


def test_a_part_of_a_group_and_of_the_space_can_be_given(tmp_path: Path) -> None:
    seen: list[Config] = []
    words = ["+sweep=organism", "data.report={harmful: 10}", "space.edit.reach={low: 1, high: 2}"]
    assert run_here("sweep", words, tmp_path, seen.append).status == 0
    assert seen[0].data.report.harmful == 10
    assert seen[0].space["edit"]["reach"] == {"low": 1, "high": 2}


def test_values_of_several_studies_pass_with_multirun() -> None:
    assert read_words(["-m", "organism.seed=0,1"]) == ["-m", "++organism.seed=0,1"]
    assert read_words(["--cfg", "job", "edit=saber"]) == ["--cfg", "job", "edit=saber"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("~space.nothing", "expected space.nothing to be there for ~space.nothing to take it out, found none"),
        (
            "+data.n_probe=40",
            "expected data.n_probe without a +, as it is there already, found +data.n_probe=...: leave",
        ),
        ("+edit=arditi", "expected one choice of edit, found two: leave out one, or the + before it"),
        ("+sweep=a/b.yaml", "unknown sweep=a/b.yaml; there are chat,"),
        ("study.enqueue={a: 1}", "study.enqueue: expected a list in brackets, such as [a, b], found {a: 1}"),
    ],
)
def test_what_is_there_and_what_is_not(word: str, said: str, tmp_path: Path) -> None:
    done = run_here("sweep", ["+sweep=organism", word], tmp_path)
    assert done.status == 2
    assert said in done.err


def test_values_of_another_type_are_named_as_they_are_typed(tmp_path: Path) -> None:
    words = {
        "edit.decay={low: 0.5, high: 1.0}": "'low': 0.5}; to search it, set space.edit.decay",
        "evaluate.drift_kinds=[harmles]": "evaluate.drift_kinds.0: input should be 'harmful', 'harmless',",
        "study.sampler=tpee": "study.sampler: expected auto, gp, tpe, nsga2, random or the dotted path of an Optuna",
        "splits=tune": "splits: expected a list in brackets, such as [a, b], found 'tune'",
    }
    said = run_here("sweep", ["+sweep=organism", *words], tmp_path).err
    assert said.startswith("error: 4 mistakes:")
    assert [expected in said for expected in words.values()] == [True] * 4


def test_all_wrong_values_are_said_at_once(tmp_path: Path) -> None:
    words = ["+sweep=organism", "study.name=../s", "edit.reach=-1", "evaluate.max_new_tokens=0"]
    said = run_here("sweep", words, tmp_path)
    assert said.status == 2
    assert said.err.startswith("error: 3 mistakes:\n  - ")
    assert "study.name: expected letters, digits, '.', '_' and '-', beginning with a letter or a digit" in said.err
    assert "^[A-Z" not in said.err


def test_a_single_mistake_is_one_line_and_many_are_cut() -> None:
    assert str(Mistakes(["a\nb"])) == "a b"
    assert str(Mistakes(["a", "a"])) == "a"
    many = str(Mistakes([f"m{i}" for i in range(50)])).splitlines()
    assert (many[0], many[-1]) == ("50 mistakes:", "  - and 30 more")
