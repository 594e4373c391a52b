"""What the README and the documents say can be run: every command composes, every file and link is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

import saber
from saber.__main__ import COMMANDS
from saber.command import to_config
from saber.command_words import spell_out
from saber.config import Config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?:    |\$ )python -m saber\.(\w+) +(.+)$", re.MULTILINE)
HYDRA = {"sweep", "frontier", "export", "evaluate", "writers"}
PLACEHOLDER = re.compile(r"<|\.\.\.|--config-dir|[A-Z]{4,}")


def commands() -> list[tuple[str, str, str]]:
    """(page, name, words) of every command that names no placeholder and is Hydra's."""
    said = [
        (page.name, name, words.partition(" #")[0].strip())
        for page in (ROOT / "README.md", ROOT / "docs" / "cli.md")
        for name, words in COMMAND.findall(page.read_text(encoding="utf-8"))
    ]
    return [command for command in said if command[1] in HYDRA and not PLACEHOLDER.search(command[2])]


def composed(words: str) -> Config:
    overrides = [spell_out(word) for word in shlex.split(words) if word != "--multirun"]
    single = [word.split(",")[0] if re.search(r"=\d+(,\d+)+$", word) else word for word in overrides]
    with initialize_config_module("saber.conf", version_base="1.3"):
        return to_config(compose("run", overrides=single), single)


@pytest.mark.parametrize(
    ("page", "name", "words"),
    [command for command in commands() if command[2].split()[0] != "power"],
    ids=lambda text: text[:60],
)
def test_every_command_composes(page: str, name: str, words: str) -> None:
    assert page
    assert name in COMMANDS
    assert composed(words).study.name


def test_commands_are_found() -> None:
    assert len(commands()) > 12
    assert {"README.md", "cli.md"} == {page for page, _, _ in commands()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_that_pages_name_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    files = re.findall(r"`((?:saber|conf|tests|benchmarks|docs)/[\w/.-]+\.(?:py|md|yaml))`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing + [name for name in files if not (ROOT / name).exists()] == []


def test_the_readme_is_one_screen() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80
    assert max(map(len, lines)) <= 140


def test_the_console_script_names_every_entry_point_and_runs_it() -> None:
    entries = {
        path.stem for path in (ROOT / "saber").glob("*.py") if 'if __name__ == "__main__"' in path.read_text("utf-8")
    }
    assert set(COMMANDS) == (entries - {"__main__"}) | {"organism"}
    words = [sys.executable, "-m", "saber", "evaluate", "power", "half_width=2"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "expected power half_width=" in done.stderr
    done = subprocess.run([sys.executable, "-m", "saber", "sweeep"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected one of sweep," in done.stderr
    assert "did you mean saber sweep?" in done.stderr


def test_the_version_is_said_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", saber.__version__)
    assert f"version: {saber.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{saber.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
