"""The length check: a cut reply is what the shorter limit gave, and flips are counted by what they were and became."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from saber.lm.editing.plan_file import load_plan
from saber.lm.evaluation.protocol import ordered
from saber.lm.inference.generation.greedy import Decoded, greedy
from saber.lm.inference.thought import Limits
from saber.publish.analysis.label_checks import flips_text
from saber.scoring.refusals import Label
from saber.study.context import Workbench
from saber.study.front import length_check
from saber.study.front.length_check import check_lengths, compared, cut, ended_within
from saber.study.front.points import read_points
from saber.study.front.study_front import front_responses
from saber.study.run.session import resume
from saber.study.store.artifacts import response_rows, responses_from_rows
from saber.study.store.records import plan_path
from saber.types import EditPlan, Prompt, Response
from tests.commands import configured, words_of


@pytest.mark.parametrize(
    ("long", "short"),
    [
        (Decoded((5, 6, 7, 8, 9), None), Decoded((5, 6, 7), None)),
        (Decoded((5, 6, 7, 8), 1), Decoded((5, 6, 7), None)),
        (Decoded((5, 6, 7), 1), Decoded((5, 6, 7), None)),  # the end itself was the fourth token
        (Decoded((5, 6), 1), Decoded((5, 6), 1)),
        (Decoded((), 1), Decoded((), 1)),
    ],
)
def test_a_cut_reply_is_what_the_shorter_limit_gave(long: Decoded, short: Decoded) -> None:
    assert cut(long, Limits(3)) == short


def responses(*labels: Label) -> list[Response]:
    return [Response(Prompt(str(i), "harmful"), "", label) for i, label in enumerate(labels)]


def test_flips_are_counted_and_rates_are_those_of_the_longer_replies() -> None:
    short = responses("truncated", "truncated", "truncated", "refuse", "comply")
    long = responses("refuse", "refuse", "degenerate", "refuse", "comply")
    check = compared(short, long, 32)
    assert check.max_new_tokens == 64
    assert check.flips == {"truncated -> degenerate": 1, "truncated -> refuse": 2}
    assert (check.n_flips, check.n) == (3, 5)
    assert check.rates["refusal_rate"].value == 3 / 5
    assert flips_text(check) == "3 of 5 labels flip (2 truncated -> refuse and 1 truncated -> degenerate)"


def test_nothing_flips_where_all_had_ended() -> None:
    same = responses("comply", "refuse")
    assert flips_text(compared(same, same, 8)) == "no label of 2 flips"


FRONT = tuple[Workbench, list[EditPlan], list[tuple[Response, ...]]]


@pytest.fixture(scope="module")
def front(finished_once: Path, organism_folder: Path) -> FRONT:
    """A real study's workbench, the plans of its front, and what their trials said."""
    config = configured(words_of(organism_folder, finished_once))
    study, bench = resume(config)
    responses = front_responses(study, config, read_points(study, config))
    digests = {p.number: p.plan_digest for p in read_points(study, config)}
    plans = [load_plan(plan_path(bench.folder, digests[number]), digests[number]) for number in responses]
    return bench, plans, list(responses.values())


@pytest.fixture
def n_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many prompts each decoding was given."""
    counts: list[int] = []

    def counting(adapter: Any, rows: Sequence[Any], **options: Any) -> Any:
        counts.append(len(rows))
        return greedy(adapter, rows, **options)

    monkeypatch.setattr(length_check, "greedy", counting)
    return counts


def test_decoding_what_was_cut_gives_what_decoding_all_gives(front: FRONT, n_decoded: list[int]) -> None:
    bench, plans, said = front
    prompts = ordered(bench.splits["tune"])
    cut_off = [[prompts[i] for i, response in enumerate(replies) if not response.finished] for replies in said]
    mixed = [i for i, cut in enumerate(cut_off) if 0 < len(cut) < len(prompts)]
    assert len(mixed) > 1
    checks = check_lengths(bench, [plans[i] for i in mixed], [said[i] for i in mixed])
    everything = check_lengths(bench, plans, [()] * len(plans))
    assert checks == [everything[i] for i in mixed]
    assert sum(check.n_flips for check in checks) > 0
    assert n_decoded == [len({prompt for i in mixed for prompt in cut_off[i]}), len(prompts)]
    assert n_decoded[0] < n_decoded[1]
    assert check_lengths(bench, plans, [said[0], *[()] * (len(plans) - 1)]) == everything


def test_where_all_had_ended_nothing_is_decoded(front: FRONT, n_decoded: list[int]) -> None:
    bench, plans, said = front
    (check,) = check_lengths(bench, plans[:1], [[replace(response, finished=True) for response in said[0]]])
    assert (check.n, check.n_flips, n_decoded) == (len(said[0]), 0, [])


def test_what_cannot_be_told_has_not_ended(front: FRONT) -> None:
    bench, _, (said, *_) = front
    prompts = ordered(bench.splits["tune"])
    rows = response_rows(said)
    assert ended_within(prompts, responses_from_rows(rows)) == ended_within(prompts, said) != {}
    old = [{name: value for name, value in row.items() if name != "finished"} for row in rows]
    assert ended_within(prompts, responses_from_rows(old)) == {}
    assert ended_within(prompts, said[:-1]) == ended_within(prompts, said[::-1]) == {}
