"""Every file under conf/ composes and validates, and what is asked for by mistake is one line with status 2."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from saber.command import to_config
from saber.command_words import spell_out
from saber.config import SAFE_NAME, Config
from saber.keys import config_keys, key_type, value_of, with_values
from saber.model_name import model_name
from saber.study.search.space import check_point, parse_space
from saber.types import UserError
from tests.commands import run_here

CONF = Path(__file__).parent.parent / "conf"
GROUPS = sorted(p.relative_to(CONF) for p in CONF.rglob("*.yaml") if p.parent != CONF and p.parent.name != "sweep")
NEEDED = {"any": ["++model.path=m"], "chat": ["++model.path=some/model"]}
SWEEPS = sorted(p.stem for p in (CONF / "sweep").glob("*.yaml"))


@pytest.mark.parametrize("path", GROUPS, ids=str)
def test_every_choice_of_every_group_composes_and_validates(path: Path) -> None:
    with initialize_config_module("saber.conf", version_base="1.3"):
        config = to_config(compose("run", overrides=[f"{path.parent}={path.stem}", *NEEDED.get(path.stem, [])]))
    assert config.study.name


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_sweep_composes_and_its_space_and_known_points_are_right(sweep: str) -> None:
    with initialize_config_module("saber.conf", version_base="1.3"):
        config = to_config(compose("run", overrides=[f"+sweep={sweep}", *NEEDED.get(sweep, [])]))
    knobs = parse_space(config)
    assert knobs
    assert len(config.study.objectives) in (2, 3)
    for point in config.study.enqueue:
        assert check_point(point, knobs)


def test_every_key_can_be_read_and_replaced() -> None:
    with initialize_config_module("saber.conf", version_base="1.3"):
        config = to_config(compose("run"))
    for key in config_keys():
        assert key_type(key) is not None
        assert value_of(with_values(config, {key: value_of(config, key)}), key) == value_of(config, key)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct"),
        ("/models/My Model (v2)/", "My-Model-v2"),
        ("~/.cache/hub/models--org--name-it/snapshots/0123abc", "name-it"),
        ("/..", "model"),
        ("m" * 300, "m" * 80),
    ],
)
def test_a_study_is_named_after_its_model(path: str, name: str) -> None:
    assert model_name(path) == name
    assert re.fullmatch(SAFE_NAME, name)


def test_a_key_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with initialize_config_module("saber.conf", version_base="1.3"):
        config = to_config(compose("run"))
    with pytest.raises(UserError, match=r"unknown key edit.alphabase; did you mean edit.alpha_base"):
        with_values(config, {"edit.alphabase": 1.0})


def test_keys_of_the_schema_can_be_set_and_more_trials_keep_their_sign() -> None:
    assert spell_out("study.n_trials=+20") == "++study.n_trials='+20'"
    assert spell_out("study.n_trials=20") == "++study.n_trials=20"
    assert spell_out("edit.reach=2") == "++edit.reach=2"
    for untouched in ("+sweep=organism", "edit=saber", "~space.edit", "edit.raech=2", "--help"):
        assert spell_out(untouched) == untouched


def test_the_words_are_kept_as_they_were_given(tmp_path: Path) -> None:
    kept: list[Config] = []
    words = ["+sweep=organism", "export.dir=${oc.env:HOME}"]
    assert run_here("sweep", words, tmp_path, kept.append).status == 0
    assert kept[0].overrides == ("+sweep=organism", "++export.dir=${oc.env:HOME}")


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("sweep", ["+sweep=orgnism"], "unknown sweep=orgnism; did you mean organism?"),
        ("sweep", ["+sweep=organism", "edit=sabre"], "unknown edit=sabre; did you mean saber?"),
        ("sweep", ["+sweep=organism", "study.n_trails=3"], "unknown key study.n_trails; did you mean study.n_trials"),
        ("sweep", ["+sweep=organism", "+edit.alpha_bas=3"], "unknown key edit.alpha_bas; did you mean edit.alpha_base"),
        ("sweep", ["+sweep=organism", "edit.n_directions=-1"], "edit.n_directions: input should be greater than or eq"),
        ("sweep", ["+sweep=organism", "edit.inputs.centre=true"], "edit.inputs.centre: input should be a valid number"),
        ("sweep", [], "add +sweep=organism"),
        ("sweep", ["+sweep=chat"], "expected a value for model.path, found none"),
        ("frontier", ["+sweep=organism", "study.dir={tmp}"], "run python -m saber.sweep +sweep=organism first"),
        ("evaluate", ["+sweep=organism"], "expected checkpoint="),
        ("writers", ["model.path=/nowhere/at/all"], "could not reach model '/nowhere/at/all'"),
        ("organism", ["out=x"], "[family=gemma4|qwen3] [thinks=true|false], found out=x"),
        (
            "sweep",
            ["study=null"],
            "expected words and files that compose, found ValueError: Config group override must",
        ),
        ("sweep", ["study.name=${{study.name}}"], "Recursive interpolation detected"),
        ("frontier", ["+sweep=organism", "study.name=../x"], "study.name: expected letters, digits, '.', '_' and '-'"),
    ],
)
def test_mistakes_are_one_line_and_status_2(module: str, arguments: list[str], message: str, tmp_path: Path) -> None:
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-m", f"saber.{module}", *filled], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_help_loads_no_torch() -> None:
    code = (
        "import sys, runpy; sys.argv = ['saber.sweep', '--help']\n"
        "try: runpy.run_module('saber.sweep', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sweep" in done.stdout
