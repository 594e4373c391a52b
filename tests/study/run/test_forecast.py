"""A dry run says what a study will cost, from trials of its own, and begins nothing."""

from __future__ import annotations

import re
from pathlib import Path

from saber.study.run.forecast import Calibration, Forecast, duration, fastest, spoken
from tests.commands import run_here, words_of


def test_a_dry_run_says_what_it_costs_and_writes_no_study(organism_folder: Path, tmp_path: Path) -> None:
    words = ["study.n_trials=40", "study.dry_run=true", "launch.calibration_s=600"]
    said = run_here("sweep", words_of(organism_folder, tmp_path, *words), tmp_path)
    assert said.status == 0, said.err
    assert "40 trials; each reads" in said.out
    rates = [float(s) for s in re.findall(r"trials_per_batch=\d+: ([\d.]+) s a trial, ", said.out)]
    assert len(rates) == 4
    assert min(rates) > 0
    assert "nothing was written to the study" in said.out
    assert not list(tmp_path.rglob("study.db"))


def test_a_calibration_ends_in_time_on_fewer_prompts(organism_folder: Path, tmp_path: Path) -> None:
    """What it will take is said before it begins; a trial's time is that of all its prompts."""
    words = ["study.n_trials=40", "study.dry_run=true", "launch.calibration_s=0.5"]
    said = run_here("sweep", words_of(organism_folder, tmp_path, *words), tmp_path)
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert "calibrating: at most about 0 s (launch.calibration_s)" in lines
    assert re.search(r"a trial takes about \d+ s: calibrating on \d+% of its prompts", said.out)
    assert "launch.trials_per_batch=2 and more are not tried: launch.calibration_s is over" in lines
    assert "fastest here: launch.trials_per_batch=1" in lines[-1]


def test_a_forecast_multiplies_what_was_measured() -> None:
    slow, fast = Calibration(1, 2.0, 10**9), Calibration(4, 1.5, 2 * 10**9)
    forecast = Forecast(100, 10, 20, 30, (slow, fast))
    assert fastest(forecast.calibrations) is fast
    lines = spoken(forecast)
    assert "150 s" not in lines[2]
    assert "2 min in all, 2.00 GB" in lines[2]
    assert "launch.trials_per_batch=4, 2400 trials an hour" in lines[-1]
    assert [duration(s) for s in (30.2, 300, 9000)] == ["30 s", "5 min", "2.5 h"]
