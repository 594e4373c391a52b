"""What is decoded of beaten trials: the same search and the same front with all of it and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optuna.trial import FrozenTrial

from saber.study.front.points import read_points
from saber.study.front.study_front import front_responses
from saber.study.run.session import resume
from tests.commands import configured, open_trials, run_here, words_of

N_TRIALS = 8
UNSOUGHT = {"over_refusal_rate", "harmless_refusal_rate", "capability", "degenerate_rate", "truncated_rate"}
SHORT = ("evaluate.max_new_tokens=6", "study.enqueue=[]")
RAY = ("launch=ray", "launch.workers=2", "launch.cpus_per_worker=0")


def swept(organism: Path, folder: Path, *more: str, n_trials: int = N_TRIALS) -> list[FrozenTrial]:
    folder.mkdir(exist_ok=True)
    said = run_here("sweep", words_of(organism, folder, *SHORT, f"study.n_trials={n_trials}", *more), folder)
    assert said.status == 0, said.err
    return open_trials(folder)


def metrics(trial: FrozenTrial) -> dict[str, Any]:
    return dict(trial.user_attrs["metrics"]["estimates"])


def front_of(trials: list[FrozenTrial]) -> set[int]:
    def beats(a: FrozenTrial, b: FrozenTrial) -> bool:
        return all(x <= y for x, y in zip(a.values, b.values, strict=True)) and a.values != b.values

    return {b.number for b in trials if not any(beats(a, b) for a in trials)}


@pytest.fixture(scope="module")
def both(organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same study with what is sought of beaten trials, and with all."""
    folders = tmp_path_factory.mktemp("sought"), tmp_path_factory.mktemp("all")
    for folder, asked in zip(folders, ("sought", "all"), strict=True):
        swept(organism_folder, folder, f"evaluate.beaten_trials={asked}")
    return folders


def check_same(sought: list[FrozenTrial], whole: list[FrozenTrial]) -> None:
    """The same trials with the same digits; those of the front whole, others without what nothing asked for."""
    assert [(trial.params, trial.values) for trial in sought] == [(trial.params, trial.values) for trial in whole]
    for trial, complete in zip(sought, whole, strict=True):
        known, everything = metrics(trial), metrics(complete)
        assert known == {name: everything[name] for name in known}
        assert everything.keys() - known.keys() in (set(), UNSOUGHT)
        kept = {"retained", "protocol", "drift_by_category", "worst_drift"}
        assert [trial.user_attrs["metrics"][name] for name in kept] == [
            complete.user_attrs["metrics"][name] for name in kept
        ]
    assert all(metrics(trial).keys() >= UNSOUGHT for trial in sought if trial.number in front_of(sought))
    assert any(not UNSOUGHT & metrics(trial).keys() for trial in sought)


def test_the_search_and_the_front_are_the_same_to_the_last_digit(both: tuple[Path, Path]) -> None:
    check_same(*(open_trials(folder) for folder in both))


def test_front_points_replied_to_every_prompt_and_beaten_ones_to_harmful_ones(
    both: tuple[Path, Path], organism_folder: Path
) -> None:
    said = []
    for folder in both:
        config = configured(words_of(organism_folder, folder, *SHORT))
        study, bench = resume(config)
        said.append(front_responses(study, config, read_points(study, bench.config)))
    assert said[0] == said[1]
    assert all(len(replies) == 45 + 24 + 24 + 32 for replies in said[0].values())


def test_four_at_once_are_told_apart_within_their_batch(organism_folder: Path, tmp_path: Path) -> None:
    together = [
        swept(organism_folder, tmp_path / asked, "launch.trials_per_batch=4", f"evaluate.beaten_trials={asked}")
        for asked in ("sought", "all")
    ]
    check_same(*together)
    assert all(metrics(trial).keys() >= UNSOUGHT for trial in together[0][:4])  # none was known when they were asked


def test_a_study_goes_on_under_either_setting(both: tuple[Path, Path], organism_folder: Path, tmp_path: Path) -> None:
    begun = swept(organism_folder, tmp_path, n_trials=4)
    assert [metrics(trial) for trial in begun] == [metrics(trial) for trial in open_trials(both[0])[:4]]
    swept(organism_folder, tmp_path, n_trials=7)
    trials = swept(organism_folder, tmp_path, "evaluate.beaten_trials=all", n_trials=9)
    whole = [metrics(trial).keys() >= UNSOUGHT for trial in trials]
    assert whole[:7] == [i in front_of(trials[: i + 1]) for i in range(7)]
    assert whole[7:] == [True, True]
    assert not all(whole[4:7])
    assert not all(i in front_of(trials[: i + 1]) for i in (7, 8))


def test_pages_say_what_beaten_trials_lack(both: tuple[Path, Path], organism_folder: Path) -> None:
    n_beaten = sum(not UNSOUGHT & metrics(trial).keys() for trial in open_trials(both[0]))
    line = f"{n_beaten} of {N_TRIALS} trials were beaten"
    for folder in both:
        said = run_here("frontier", words_of(organism_folder, folder, *SHORT), folder)
        assert said.status == 0, said.err
        page = (folder / "sweeps" / "organism" / "report.html").read_text()
        rows = pd.read_csv(folder / "sweeps" / "organism" / "frontier.csv")
        assert rows["tune_over_refusal_rate"].notna().all()
        is_sought = folder == both[0]
        assert (line in said.out) == (line in page) == is_sought
        assert ("evaluate.beaten_trials=all" in said.out) == is_sought


def test_a_beaten_point_is_exported_and_its_card_says_what_it_lacks(
    both: tuple[Path, Path], organism_folder: Path
) -> None:
    beaten = next(t for t in open_trials(both[0]) if not UNSOUGHT & metrics(t).keys())
    words = words_of(organism_folder, both[0], *SHORT, f"point={beaten.number}")
    said = run_here("export", words, both[0])
    assert said.status == 0, said.err
    (card,) = both[0].glob(f"outputs/*{beaten.user_attrs['name']}/README.md")
    assert (
        "its over-refusal rate, harmless refusal rate, capability, degenerate rate and truncated rate"
        in card.read_text()
    )


def test_two_workers_measure_at_least_as_much(both: tuple[Path, Path], organism_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    alone = {str(trial.params): trial for trial in open_trials(both[1])}
    shared = swept(organism_folder, tmp_path, *RAY)
    for trial in shared:
        complete = alone[str(trial.params)]
        assert trial.values == complete.values
        assert metrics(trial) == {name: metrics(complete)[name] for name in metrics(trial)}
    assert all(metrics(trial).keys() >= UNSOUGHT for trial in shared if trial.number in front_of(shared))


def test_kinds_follow_what_is_sought(organism_folder: Path, tmp_path: Path) -> None:
    """A study that seeks fewer false refusals replies to borderline prompts in every trial."""
    objectives = "study.objectives=[{metric: over_refusal_rate, direction: minimize, reference: 1.0}, {metric: kld}]"
    trials = swept(organism_folder, tmp_path, objectives, n_trials=4)
    lacking = [{*metrics(trials[0])} - {*metrics(trial)} for trial in trials]
    assert all("over_refusal_rate" in metrics(trial) for trial in trials)
    assert all(lack in (set(), UNSOUGHT - {"over_refusal_rate"}) for lack in lacking)
