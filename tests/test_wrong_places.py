"""Words that name a place which cannot be meant: one line at once, and what is there stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from saber.command import in_one_line
from saber.organism.__main__ import organism
from saber.reproduce import reproduce
from saber.vocabulary import UserError
from tests.commands import run_here


@pytest.mark.parametrize("word", ["out={folder}/file", "out={folder}/mine", "out={folder}/file/x"])
def test_an_organism_replaces_nothing_but_an_organism(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("kept", encoding="utf-8")
    monkeypatch.setattr("saber.organism.build._fill", lambda *_: pytest.fail("it was trained"))
    assert in_one_line(lambda: organism([word.format(folder=tmp_path), "seed=1"])) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "name another" in said
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (FileNotFoundError(2, "none"), "name another place"),
        (NotADirectoryError(20, "none"), "name another place"),
        (OSError(28, "full"), "free space or permit writing"),
        (PermissionError(13, "no"), "free space or permit writing"),
    ],
)
def test_space_is_freed_only_where_it_is_full(error: OSError, mend: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    assert in_one_line(fail) == 2
    assert f"; {mend}, then run" in capsys.readouterr().err


def test_where_an_export_goes_is_looked_at_before_its_study(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = run_here("export", ["+sweep=organism", "export.dir=file/x"], tmp_path)
    assert (said.status, said.err) == (
        2, "error: export.dir: expected a folder, found that file is a file: choose another\n"
    )  # fmt: skip


def test_a_database_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    words = ["+sweep=organism", f"study.storage=sqlite:///{tmp_path}/none.db"]
    said = run_here("frontier", words, tmp_path)
    assert (said.status, said.err) == (
        2, f"error: expected the study's database, found no file {tmp_path}/none.db: mend study.storage\n"
    )  # fmt: skip
    assert not (tmp_path / "none.db").exists()


def test_a_device_is_no_data_set_of_the_hub(tmp_path: Path) -> None:
    words = ["+sweep=chat", f"model.path={tmp_path}", "data.harmful=/dev/zero", "data.harmless=/dev/null"]
    said = run_here("sweep", words, tmp_path)
    assert said.status == 2
    assert "expected a file that ends in .jsonl" in said.err
    assert "datasets" not in said.err


def test_a_sweep_file_without_its_first_line_is_told_which(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text("study: {n_trials: 3}\n", encoding="utf-8")
    said = run_here("sweep", [f"--config-dir={tmp_path}", "+sweep=mine"], tmp_path)
    assert said.status == 2
    assert said.err.startswith("error: expected '# @package _global_' as the first line")
    said = run_here("sweep", ["--config-name=nowhere"], tmp_path)
    assert said.err.startswith("error: expected a file nowhere.yaml, found none")


def test_an_empty_base_is_no_base() -> None:
    with pytest.raises(UserError, match="base="):
        reproduce(["outputs/x", "base="])
