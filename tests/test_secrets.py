"""Neither a token nor whose home it is: not in what is printed, and in no file that a study and its exports leave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Said, run_here, words_of
from tests.small_data import few_prompts

TOKEN = "token-of-the-tests-which-is-no-real-one"


@pytest.fixture
def home(tmp_path: Path, organism_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a model and data in it, and a token in the environment."""
    home = tmp_path / "home-of-jane-doe"
    shutil.copytree(organism_folder, home / "models" / "organism")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return home


def lines_with(text: str, secret: str) -> Iterator[str]:
    return (line for line in text.splitlines() if secret in line)


def test_no_token_and_no_home_is_told_or_written(home: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    words = words_of(home / "models" / "organism", work, "study.n_trials=4", *few_prompts(home))
    said = [
        run_here("sweep", words, work),
        run_here("frontier", words, work),
        run_here("export", [*words, "point=balanced"], work),
        run_here("export", [*words, "point=balanced", "export.format=adapter", "export.dir=adapters"], work),
    ]
    assert [done.status for done in said] == [0] * 4, "".join(done.err for done in said)
    refused = [
        run_here("export", [*words, "point=none-of-them"], work),
        run_here("sweep", [*words, f"model.path=https://jane:{TOKEN}@127.0.0.1:1/{TOKEN}"], work),
        run_here("sweep", [*words, "study.n_trials=5", "data.n_probe=4"], work),
    ]
    assert [done.status for done in refused] == [2] * 3, "".join(done.out for done in refused)
    files = [path for path in work.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"README.md", "report.html", "study.db", "adapter_config.json", "saber.json"} <= names
    for secret in (TOKEN, str(home)):
        assert [line for done in [*said, *refused] for line in lines_with(done.out + done.err, secret)] == []
        assert [str(path) for path in files if secret.encode() in path.read_bytes()] == []
    (adapter,) = work.glob("adapters/*/adapter_config.json")
    assert json.loads(adapter.read_text())["base_model_name_or_path"] == "~/models/organism"


HOSTILE = ["../../x", "/etc/x", "a\x1b[31mb", "a\rb", "..", "a\u202eb"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("key", ["point", "study.name"])
def test_a_name_that_is_a_path_or_moves_the_cursor_is_one_line(
    key: str, name: str, finished_once: Path, organism_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished_once, tmp_path / "in", dirs_exist_ok=True)
    words = words_of(organism_folder, tmp_path / "in", f"{key}='{name}'")
    said: Said = run_here("export", words, tmp_path / "in")
    assert said.status == 2
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert said.err.rstrip("\n").isprintable()
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert {path.name for path in (tmp_path / "in" / "outputs").glob("*")} <= {"_runs"}  # Hydra's, empty
