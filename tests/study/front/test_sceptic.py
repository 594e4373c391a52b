"""What a sceptic looks for in a published study: neighbours on the same prompts, the length check, a judge's kappa."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from saber.lm.evaluation.outcomes import outcomes_of
from saber.study.front import study_front as front
from saber.study.run.session import resume
from tests.commands import configured, run_here, words_of
from tests.lm.evaluation.test_judges import endpoint, reads, saying, send


def report_of(folder: Path) -> str:
    """The words of the report."""
    page = (folder / "sweeps" / "organism" / "report.html").read_text()
    return re.sub(r"<[^>]+>|\s+", " ", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))


def test_front_points_keep_the_outcomes_that_their_rates_are_made_of(published: Path, organism_folder: Path) -> None:
    config = configured(words_of(organism_folder, published))
    study, bench = resume(config)
    frontier = front.quick_frontier(study, bench)
    for point in frontier.front:
        for metric in ("refusal_rate", "over_refusal_rate", "kld", "kld_first"):
            values = point.outcomes[metric]
            assert point.tune.estimates[metric].n == len(values)
            assert point.tune[metric] == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert frontier.base_outcomes == outcomes_of(bench.base_tune.responses)


def test_the_report_says_what_a_longer_reply_flips(published: Path) -> None:
    kept = json.loads((published / "sweeps" / "organism" / "length_check.json").read_text())["rows"]
    assert {row["max_new_tokens"] for row in kept.values()} == {24}
    said = report_of(published)
    assert "Decoded to 24 new tokens, twice the limit" in said
    total = sum(sum(row["flips"].values()) for row in kept.values())
    assert f"{total} of the {sum(row['n'] for row in kept.values())} labels" in said


def test_a_judge_is_reported_beside_the_markers(published: Path, organism_folder: Path) -> None:
    asked: list[str] = []

    def counting(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        asked.append(body["messages"][-1]["content"])
        reads(handler, body)

    with endpoint(counting) as url:
        words = words_of(organism_folder, published, "judge=openai_compatible", f"judge.url={url}")
        assert run_here("frontier", words, published).status == 0
        first, n_asked = report_of(published), len(asked)
        assert n_asked == len(set(asked)) > 0
        assert run_here("frontier", words, published).status == 0
    assert len(asked) == n_asked
    assert report_of(published) == first
    said = report_of(published)
    assert "openai_compatible judge labelled the same tune responses" in said
    assert re.search(r"kappa with the labels (-?\d\.\d\d|undefined)", said)
    assert url not in said


def test_a_judge_that_gives_no_label_is_said_and_the_report_is_written_without_it(
    published: Path, organism_folder: Path
) -> None:
    with endpoint(lambda handler, _: send(handler, saying("perhaps"))) as url:
        words = words_of(organism_folder, published, "judge=openai_compatible", f"judge.url={url}")
        said = run_here("frontier", words, published)
    assert said.status == 0
    assert re.search(r"the judge gave no label of (\d+) of \1 responses", said.out)
    assert "perhaps" in said.out
    assert "kappa with the labels" not in report_of(published)
