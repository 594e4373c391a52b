"""A metric is one row of `saber.metrics`: no other file names one, and a new row reaches every place by itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from saber.lm.evaluation.outcomes import RATES
from saber.metrics import BY_NAME, METRICS, metric_of, shown_in
from saber.publish.text.metric_columns import COLUMNS
from saber.publish.text.wording import is_drift, is_rate, label, number_text

ROOT = Path(__file__).parents[1]
NAMES = [metric.name for metric in METRICS if metric.name != "capability"]  # that is a kind of prompts, too


def test_no_other_file_names_a_metric() -> None:
    quoted = re.compile("|".join(f"[\"']{name}[\"']" for name in NAMES))
    naming = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "saber").rglob("*.py"))
        if path.name != "metrics.py" and quoted.search(path.read_text(encoding="utf-8"))
    ]
    assert naming == []


def test_rows_are_told_apart_and_every_rate_counts_something() -> None:
    assert len(BY_NAME) == len(METRICS)
    assert len({metric.label for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert (metric.among is None) == (metric.counts is None)
        assert metric.counts is None or (metric.unit == "rate" and metric.name in RATES)
        assert not metric.places or metric.title, f"{metric.name} is shown in a table and has no title"


@pytest.mark.parametrize(
    ("name", "words", "value", "text"),
    [
        ("refusal_rate", "keyword refusal rate", 0.02, "2.0%"),
        ("kld", "mean KLD vs base", 0.3164, "0.3164"),
        ("of_another_version_rate", "of another version rate", 0.5, "50.0%"),
        ("kld_of_another_version", "kld of another version", 0.5, "0.5000"),
        ("something", "something", 0.5, "0.5000"),
    ],
)
def test_a_metric_is_written_by_its_unit(name: str, words: str, value: float, text: str) -> None:
    assert label(name) == words
    assert number_text(name, value) == text
    assert is_rate(name) == text.endswith("%")
    assert is_drift(name) == name.startswith("kld")


def test_tables_show_what_their_place_names() -> None:
    assert [column.metric for column in COLUMNS if column.split == "tune"] == list(shown_in("tune"))
    assert [column.metric for column in COLUMNS if column.split == "report"] == list(shown_in("held_out"))
    assert metric_of("protected_refusal_rate").better == "higher"


ROW = """    Metric(
        "shouted_rate", "shouted rate", "rate", "shouted", "shout", among=lambda _: True,
        counts=lambda response: response.text.isupper(), places=frozenset({"tune", "compared", "hover"}),
    ),
)  # fmt: skip
BY_NAME"""
USE = """
from saber.lm.evaluation.outcomes import rates
from saber.publish.text.metric_columns import COLUMNS
from saber.publish.text.wording import label, number_text
from saber.metrics import shown_in
from saber.types import Prompt, Response

said = [Response(Prompt("a", "harmless"), text, "comply") for text in ("NO", "no", "no", "No")]
assert rates(said)["shouted_rate"].value == 0.25
assert "shouted" in [column.title for column in COLUMNS]
assert (label("shouted_rate"), number_text("shouted_rate", 0.25)) == ("shouted rate", "25.0%")
assert all("shouted_rate" in shown_in(place) for place in ("tune", "compared", "hover"))
"""


def test_a_new_row_is_measured_and_shown_with_no_other_file_touched(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "saber", tmp_path / "saber", ignore=shutil.ignore_patterns("__pycache__"))
    table = tmp_path / "saber" / "metrics.py"
    source = table.read_text(encoding="utf-8")
    table.write_text(source.replace(")  # fmt: skip\nBY_NAME", ROW), encoding="utf-8")
    assert table.read_text(encoding="utf-8") != source
    editable = "sys.meta_path[:] = [finder for finder in sys.meta_path if 'ditable' not in repr(finder)]"
    here = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {editable}; import saber"
    copied = f"assert saber.__file__.startswith({str(tmp_path)!r})"
    words = [sys.executable, "-I", "-c", f"{here}; {copied}\n{USE}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
