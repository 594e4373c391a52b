"""Faults at random moments from a seed, on real processes and databases, and what must hold after each."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import FrozenTrial, TrialState

from saber.study.store.records import INTERRUPTED, RETRY_OF, is_finished
from tests.study.fault_driver import values_of
from tests.study.fault_study import Drivers, FaultyStudy
from tests.study.faults import FINISHING, NEED_MOUNTS, STOPPING
from tests.study.postgres import PASSWORD, Server

DISK = "8m"
STOPS_PER_STUDY = 4


@dataclass
class Report:
    """What came of the faults: how often each was injected, and what was seen."""

    rows: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, fault: str, outcome: str) -> None:
        """One fault more."""
        self.rows.setdefault(fault, Counter())[outcome] += 1

    @property
    def n_injected(self) -> int:
        """How many faults there were."""
        return sum(sum(row.values()) for row in self.rows.values())

    def table(self) -> str:
        """A Markdown table."""
        lines = ["| fault | injected | outcome |", "|---|---|---|"]
        for fault, row in sorted(self.rows.items()):
            outcomes = "; ".join(f"{outcome} ({n})" for outcome, n in row.most_common())
            lines.append(f"| {fault} | {sum(row.values())} | {outcomes} |")
        return "\n".join([*lines, f"| all | {self.n_injected} | |"])


# --- what must hold ---


def content(trial: FrozenTrial) -> tuple[Any, ...]:
    """All of a finished trial."""
    return trial.number, trial.state, trial.values, trial.params, trial.user_attrs, trial.datetime_complete


def check(study: FaultyStudy, before: list[FrozenTrial]) -> list[FrozenTrial]:
    """No finished trial lost or changed, none doubled, nothing drawn twice; returns the trials."""
    after = study.trials()
    for trial in before:
        if is_finished(trial):
            assert content(after[trial.number]) == content(trial)
    assert [trial.number for trial in after] == list(range(len(after)))
    finished = [trial for trial in after if is_finished(trial)]
    assert len(finished) <= study.n_trials
    assert max(Counter(map(point, finished)).values(), default=0) <= 1
    fresh = [trial for trial in after if len(trial.params) == 2 and RETRY_OF not in trial.user_attrs]
    assert max(Counter(map(point, fresh)).values(), default=0) <= 1, "drawn twice"
    for trial in finished:
        if trial.state == TrialState.COMPLETE:
            assert np.allclose(trial.values, values_of(trial.params), atol=1e-8), trial
            assert (study.own / "plans" / f"{trial.user_attrs['plan']}.safetensors").exists()
    return after


def check_end(study: FaultyStudy, after: list[FrozenTrial]) -> None:
    """After a driver that nobody stopped: exactly as many finished as wanted, none running, none waiting."""
    assert sum(map(is_finished, after)) == study.n_trials
    assert {t.state for t in after} <= {TrialState.COMPLETE, TrialState.FAIL}
    for trial in after:
        if trial.state == TrialState.FAIL:
            assert trial.user_attrs.get(INTERRUPTED) or trial.user_attrs["failure"] == "kld not finite"
        else:
            (meta,) = get_all_artifact_meta(trial, storage=study.storage)
            with study.artifacts.open_reader(meta.artifact_id) as file:
                assert file.read()
    assert not list(study.own.rglob(".*"))
    assert PASSWORD not in study.said()
    assert "Traceback" not in study.said(), study.said()


def point(trial: FrozenTrial) -> str:
    """A trial's parameters as one text."""
    return json.dumps(trial.params, sort_keys=True)


# --- the campaign ---


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def may_mount(folder: Path) -> bool:
    """Whether this user may mount, as the disk's faults need."""
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True, check=False).returncode:
        return False
    subprocess.run(["umount", str(folder)], check=True)
    return True


def campaign(folder: Path, seed: int, n_faults: int, drivers: Drivers, server: Server | None = None) -> Report:
    """Inject ``n_faults`` or a few more, several into each study, and check the database after each.

    Every kind of fault comes in turn, in an order and at moments that the seed decides.
    """
    chance, report = random.Random(seed), Report()
    mountable = may_mount(folder / "may-mount")
    stopping = [fault for fault in STOPPING if mountable or fault not in NEED_MOUNTS]
    url = server.make_database(f"campaign{seed}") if server else None
    number = 0
    while report.n_injected < n_faults:
        last = list(FINISHING)[number % len(FINISHING)]
        number += 1
        place = folder / f"disk{number}"
        with _disk(place) if mountable else contextlib.nullcontext():
            study = FaultyStudy(place, f"s{number}", url, drivers, server)
            _run_study(study, [*chance.sample(stopping, STOPS_PER_STUDY), last], chance, report)
    return report


def _run_study(study: FaultyStudy, faults: list[str], chance: random.Random, report: Report) -> None:
    """One study through some faults, then to its end."""
    trials: list[FrozenTrial] = []
    for fault in faults:
        study.want_more(trials)
        outcome = (STOPPING | FINISHING)[fault](study, chance)
        trials = check(study, trials)
        if outcome is not None:
            report.add(fault, outcome)
    assert study.run() == 0, study.said()
    check_end(study, check(study, trials))
