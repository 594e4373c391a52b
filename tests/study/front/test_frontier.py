"""The frontier of a small study: published whole, held-out prompts read at the end only, and scored once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from transformers import PreTrainedTokenizerFast

from saber.data.splits import load_splits
from saber.lm.evaluation.measurement import measure_trials
from saber.study.front import held_out as holdout
from saber.study.front import study_front as front
from saber.study.run.session import resume
from saber.study.store.artifacts import stored_responses
from saber.study.store.records import metrics_from_json
from saber.types import EditPlan, Response, Split
from tests.commands import configured, finish, open_trials, process, run_here, trial_rows, words_of

KEPT = ("report_scores.json", "null_curve.json")


def studied(folder: Path) -> Path:
    return folder / "sweeps" / "organism"


def kept(folder: Path) -> dict[str, tuple[int, str]]:
    return {name: ((studied(folder) / name).stat().st_mtime_ns, (studied(folder) / name).read_text()) for name in KEPT}


def test_it_is_published_as_a_page_and_a_table(published: Path) -> None:
    rows = pd.read_csv(studied(published) / "frontier.csv")
    base, *points = rows.to_dict("records")
    assert base["name"] == "base"
    assert points
    assert {"aggressive", "balanced"} <= {mark for row in points for mark in str(row["marks"]).split()}
    trials = {trial.number: trial for trial in open_trials(published)}
    for row in points:
        trial = trials[int(row["number"])]
        assert row["name"] == trial.user_attrs["name"]
        assert [row["tune_refusal_rate"], row["tune_kld"]] == pytest.approx(trial.values)
        assert 0 <= row["report_refusal_rate_low"] <= row["report_refusal_rate"] <= 1
        assert row["report_protocol"] != row["tune_protocol"]
    page = (studied(published) / "report.html").read_text()
    assert all(str(row["name"]) in page for row in points)


def test_no_trial_beats_a_point_of_the_front_and_every_other_is_beaten(published: Path) -> None:
    on_front = set(pd.read_csv(studied(published) / "frontier.csv")["number"].dropna().astype(int))

    def beats(a: Sequence[float], b: Sequence[float]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)

    trials = open_trials(published)
    beaten = {t.number for t in trials if any(beats(other.values, t.values) for other in trials)}
    assert on_front == {t.number for t in trials} - beaten


def test_each_front_point_is_scored_on_held_out_prompts_exactly_once(published: Path, organism_folder: Path) -> None:
    rows = pd.read_csv(studied(published) / "frontier.csv")
    scored = json.loads((studied(published) / "report_scores.json").read_text())["rows"]
    assert set(scored) == {"base", *rows["plan_digest"].dropna()}
    assert {metrics_from_json(row).split for row in scored.values()} == {"report"}

    before = kept(published)
    with process("frontier", words_of(organism_folder, published), published) as again:
        said = finish(again)
    assert (said.status, said.err) == (0, "")
    assert kept(published) == before
    pd.testing.assert_frame_equal(pd.read_csv(studied(published) / "frontier.csv"), rows)


def test_only_what_is_missing_is_scored(
    published: Path, organism_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = studied(published) / "report_scores.json"
    scores = json.loads(store.read_text())
    missing = next(digest for digest in scores["rows"] if digest != "base")
    expected = scores["rows"].pop(missing)
    store.write_text(json.dumps(scores))
    measured: list[tuple[str, list[str]]] = []

    def counting(adapter: Any, split: Split, profile: Any, reference: Any, plans: Sequence[EditPlan]) -> Any:
        measured.append((split.name, [plan.digest for plan in plans]))
        return measure_trials(adapter, split, profile, reference, plans)

    monkeypatch.setattr(holdout, "measure_trials", counting)
    assert run_here("frontier", words_of(organism_folder, published), published).status == 0
    assert measured == [("report", [missing])]
    kept, again = (metrics_from_json(stored) for stored in (json.loads(store.read_text())["rows"][missing], expected))
    assert kept["kld"] == pytest.approx(again["kld"], abs=1e-5)


def test_the_stored_responses_of_each_front_point_are_read_once(
    published: Path, organism_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counting(storage: BaseStorage, trial: FrozenTrial, store: FileSystemArtifactStore) -> tuple[Response, ...]:
        read.append(trial.number)
        return stored_responses(storage, trial, store)

    monkeypatch.setattr(front, "stored_responses", counting)
    assert run_here("frontier", words_of(organism_folder, published), published).status == 0
    on_front = pd.read_csv(studied(published) / "frontier.csv")["number"].dropna().astype(int)
    assert sorted(read) == sorted(on_front)


def test_damaged_scores_are_scored_again(published: Path, organism_folder: Path) -> None:
    store = studied(published) / "report_scores.json"
    expected = set(json.loads(store.read_text())["rows"])
    store.write_text(store.read_text()[:-20])
    with pytest.warns(UserWarning, match="report_scores.json is damaged"):
        said = run_here("frontier", words_of(organism_folder, published), published)
    assert said.status == 0
    assert set(json.loads(store.read_text())["rows"]) == expected


@pytest.fixture
def read_prompts(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every prompt that any tokenizer is given from now on."""
    seen: set[str] = set()
    real = PreTrainedTokenizerFast.apply_chat_template

    def noting(self: Any, chats: Sequence[Any], *arguments: Any, **options: Any) -> Any:
        seen.update(message["content"] for chat in chats for message in chat)
        return real(self, chats, *arguments, **options)

    monkeypatch.setattr(PreTrainedTokenizerFast, "apply_chat_template", noting)
    return seen


def test_a_sweep_never_reads_a_held_out_prompt(organism_folder: Path, tmp_path: Path, read_prompts: set[str]) -> None:
    words = words_of(organism_folder, tmp_path, "study.n_trials=2")
    splits = load_splits(configured(words).data, 0)
    held_out = {prompt.text for prompt in splits["report"].prompts}
    assert run_here("sweep", words, tmp_path).status == 0
    assert {prompt.text for prompt in splits["tune"].prompts} <= read_prompts
    assert not read_prompts & held_out

    _, bench = resume(configured(words))
    bench.report_reference()
    assert held_out <= read_prompts


def test_an_impossible_constraint_is_said_in_one_line(organism_folder: Path, tmp_path: Path) -> None:
    impossible = "study.constraints=[{metric: kld, at_most: 0}]"
    words = words_of(organism_folder, tmp_path, "study.n_trials=2", impossible)
    run_here("sweep", words, tmp_path)
    assert len(open_trials(tmp_path)) == 2
    for command in ("sweep", "frontier", "export"):
        said = run_here(command, words, tmp_path)
        assert said.status == 2
        assert said.err == ("error: the front is empty: none of 2 trials meets study.constraints; loosen them\n")


def test_a_frontier_changes_no_trial(finished_once: Path, published_once: Path) -> None:
    assert trial_rows(published_once) == trial_rows(finished_once)


@pytest.mark.parametrize("command", ["frontier", "export"])
def test_a_study_that_was_never_run_is_said_in_one_line(command: str, organism_folder: Path, published: Path) -> None:
    words = words_of(organism_folder, published, "study.name=other")
    said = run_here(command, words, published)
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert "found none; there are organism: name one" in said.err


def test_the_quick_frontier_agrees_with_the_published_one(published: Path, organism_folder: Path) -> None:
    config = configured(words_of(organism_folder, published))
    study, bench = resume(config)
    quick = front.quick_frontier(study, bench)
    rows = pd.read_csv(studied(published) / "frontier.csv")
    assert [point.name for point in quick.front] == list(rows["name"])[1:]
    assert all(point.report is None for point in quick.points)
    assert quick.base_tune["kld"] == 0.0
    total = sum(point.hypervolume_share for point in quick.front)
    assert 0 <= total <= 1 + 1e-9
