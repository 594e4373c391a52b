"""Sixty faults at random moments on real processes, on SQLite and on PostgreSQL; the campaign checks after each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.study.campaign import FINISHING, STOPPING, campaign, may_mount
from tests.study.postgres import Server

SEED = 6
N_FAULTS = 30  # on each of two storages


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_a_study_survives_whatever_happens(storage: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server: Server | None = request.getfixturevalue("postgres") if storage == "postgres" else None
    report = campaign(tmp_path / "campaign", SEED, N_FAULTS, server)
    assert report.n_injected >= N_FAULTS
    wanted = set(STOPPING) if may_mount(tmp_path / "probe") else set(STOPPING) - {"full disk", "read-only cache"}
    assert wanted <= set(report.rows)
    assert len(set(report.rows) & set(FINISHING)) >= 3
    print(report.table())
