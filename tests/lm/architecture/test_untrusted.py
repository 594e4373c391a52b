"""Weights are safetensors or not read at all, and code that comes with a model runs only where that was asked for."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from saber.lm.loading.load import load, load_classifier
from saber.types import UserError
from tests.commands import run_here

CODE = "import pathlib\npathlib.Path({mark!r}).touch()\nclass Config: ...\nclass Model: ...\n"


class Touches:
    """What a pickle does when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture
def pickled(organism_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint whose weights are a pickle that leaves a mark when it is read."""
    folder = tmp_path / "pickled"
    shutil.copytree(organism_folder, folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Touches(tmp_path / "mark")))
    return folder


def test_a_pickle_is_refused_and_the_line_says_what_it_is(pickled: Path, tmp_path: Path) -> None:
    said = run_here("writers", [f"model.path={pickled}"], tmp_path)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert (
        f"expected weights as safetensors in {pickled}, found pytorch_model.bin: a pickle, and reading one" in said.err
    )
    assert "runs whatever code its author put there" in said.err
    for loading in (load, load_classifier):
        with pytest.raises(UserError, match="a pickle"):
            loading(str(pickled), device="cpu")
    assert not (tmp_path / "mark").exists()


def test_a_pickle_beside_safetensors_is_not_read(organism_folder: Path, pickled: Path, tmp_path: Path) -> None:
    shutil.copy(organism_folder / "model.safetensors", pickled)
    load(str(pickled), device="cpu")
    assert not (tmp_path / "mark").exists()


@pytest.fixture
def with_code(organism_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint of a type that transformers does not know, with code that leaves a mark when it is imported."""
    folder = tmp_path / "with_code"
    shutil.copytree(organism_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "of_its_own"
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(CODE.format(mark=str(tmp_path / "mark")))
    return folder


def test_code_that_comes_with_a_model_does_not_run_unasked(with_code: Path, tmp_path: Path) -> None:
    said = run_here("writers", [f"model.path={with_code}"], tmp_path)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "model.trust_remote_code=true runs that code with your rights: read it first" in said.err
    assert not (tmp_path / "mark").exists()


def test_the_switch_that_lets_code_run_says_what_it_means(organism_folder: Path, tmp_path: Path) -> None:
    said = run_here("writers", [f"model.path={organism_folder}", "model.trust_remote_code=true"], tmp_path)
    assert said.status == 0, said.err
    assert f"Python files that come with {organism_folder} run on this machine with your rights" in said.err
    quiet = run_here("writers", [f"model.path={organism_folder}"], tmp_path)
    assert quiet.err == ""
