"""Sixty faults at random moments on real processes, on SQLite and on PostgreSQL; the campaign checks after each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.study.campaign import campaign, may_mount
from tests.study.fault_study import Drivers
from tests.study.faults import FINISHING, NEED_MOUNTS, STOPPING
from tests.study.postgres import Server

SEED = 6
N_FAULTS = 30  # on each of two storages


@pytest.fixture(scope="module")
def drivers() -> Iterator[Drivers]:
    """The process that forks the drivers of both campaigns."""
    with contextlib.closing(Drivers()) as started:
        yield started


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_a_study_survives_whatever_happens(
    storage: str, drivers: Drivers, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: Server | None = request.getfixturevalue("postgres") if storage == "postgres" else None
    report = campaign(tmp_path / "campaign", SEED, N_FAULTS, drivers, server)
    print(report.table())
    assert report.n_injected >= N_FAULTS
    assert set(report.rows) >= (STOPPING | FINISHING).keys() - (
        set() if may_mount(tmp_path / "probe") else set(NEED_MOUNTS)
    )
