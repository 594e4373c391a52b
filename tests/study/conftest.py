"""A small finished study of a quickly trained organism, and the same with its frontier published."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import run_here, words_of
from tests.study.postgres import INSTALLED, Server, server

N_TRIALS = 4


@pytest.fixture(scope="session")
def finished_once(organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study; copy it rather than change it."""
    folder = tmp_path_factory.mktemp("finished")
    said = run_here("sweep", words_of(organism_folder, folder, f"study.n_trials={N_TRIALS}"), folder)
    assert said.status == 0, said.err
    return folder


@pytest.fixture(scope="session")
def published_once(finished_once: Path, organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study whose frontier is published; copy it rather than change it."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(finished_once, folder, dirs_exist_ok=True)
    said = run_here("frontier", words_of(organism_folder, folder), folder)
    assert said.status == 0, said.err
    return folder


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """A finished study of one's own."""
    shutil.copytree(finished_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def published(published_once: Path, tmp_path: Path) -> Path:
    """A published study of one's own."""
    shutil.copytree(published_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A private PostgreSQL; a test that stops it starts it again."""
    if not INSTALLED:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql")
    with server() as running:
        yield running
