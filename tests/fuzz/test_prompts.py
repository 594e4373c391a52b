"""Prompt files of odd bytes, encodings, quotes and rows: every prompt there is is read, or a line says why."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saber.config import DataConfig, PromptSource, SplitSizes
from saber.data.sources import read_source
from saber.data.splits import check_disjoint, make_splits
from saber.types import PROMPT_KINDS, Prompt, UserError
from tests.fuzz import fuzzed, nested, odd_scalar, odd_text, or_one_line

SUFFIXES = [".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".txt", ".CSV", ".parquet"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32-le", "latin-1", "cp1252", "shift_jis"]
BIG = 10_000_000
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
json_row = st.one_of(
    st.dictionaries(st.sampled_from(["prompt", "category", "pair_id", "answer"]), odd_scalar, max_size=4),
    nested(odd_scalar, texts, 4),
).map(json.dumps)
csv_like = st.text("prom\",\n\r\t\0;'ab\ufeff", max_size=40)
lines = st.lists(st.one_of(texts, json_row, csv_like, st.just("prompt,category")), max_size=6)
contents = st.one_of(
    st.binary(max_size=60),
    st.tuples(lines, st.sampled_from(["\n", "\r\n", "\r", "\n\r", "\u2028"]), st.sampled_from(ENCODINGS)).map(
        lambda parts: parts[1].join(parts[0]).encode(parts[2], "replace")
    ),
    csv_like.map(lambda text: b"prompt,category\n" + text.encode()),
)
columns: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}), st.dictionaries(st.sampled_from(["prompt", "category", "pair_id", "x"]), odd_text, max_size=2)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prompts")


def read(folder: Path, suffix: str, content: bytes, **more: Any) -> tuple[Prompt, ...]:
    """The prompts of a file of this content, each of which can be written to a file again."""
    path = folder / f"odd{suffix}"
    path.write_bytes(content)
    prompts = read_source(PromptSource(str(path), "harmful", **more))
    assert prompts
    for prompt in prompts:
        for text in (prompt.text, prompt.category, prompt.pair_id or "x", prompt.answer or "x"):
            assert text == text.strip()
            assert "\0" not in text.encode().decode()
        assert prompt.text
    return prompts


@fuzzed("bytes of a prompt file")
@given(suffix=st.sampled_from(SUFFIXES), content=contents, mapped=columns)
@example(suffix=".jsonl", content=b"[" * 100_000, mapped={})
@example(suffix=".jsonl", content=b'{"prompt":"x","pair_id":' + b"9" * 5000 + b"}", mapped={})
@example(suffix=".jsonl", content=b'{"prompt":"x","pair_id":NaN}', mapped={})
@example(suffix=".jsonl", content=b'{"prompt":"\\ud800"}', mapped={})
@example(suffix=".csv", content=b'"a\nb"\nx\n', mapped={})
def test_any_bytes(folder: Path, suffix: str, content: bytes, mapped: dict[str, str]) -> None:
    with or_one_line():
        read(folder, suffix, content, columns=mapped)


@fuzzed("lines of a text file")
@given(
    rows=st.lists(texts.filter(lambda text: text.strip() and not set(text) & set("\r\n\0")), min_size=1, max_size=6),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=6, max_size=6),
    mark=st.booleans(),
)
def test_every_line_is_a_prompt_whatever_the_newlines(
    folder: Path, rows: list[str], ends: list[str], mark: bool
) -> None:
    text = ("\ufeff" if mark or rows[0][0] == "\ufeff" else "") + "".join(
        row + end for row, end in zip(rows, ends, strict=False)
    )
    assert [prompt.text for prompt in read(folder, ".txt", text.encode())] == [row.strip() for row in rows]


Row = dict[Literal["prompt", "category"], str]
rows_of_text = st.lists(
    st.fixed_dictionaries(
        {"prompt": texts.filter(lambda t: t.strip() and "\0" not in t), "category": st.text("ab ,\"'\n")}
    ),
    min_size=1,
    max_size=5,
)


@fuzzed("rows of a table")
@given(rows=rows_of_text, newline=st.sampled_from(["\n", "\r\n"]), as_csv=st.booleans())
def test_every_row_is_a_prompt(folder: Path, rows: list[Row], newline: str, as_csv: bool) -> None:
    if as_csv:
        out = io.StringIO()
        writer: csv.DictWriter[Any] = csv.DictWriter(
            out, ["prompt", "category"], lineterminator=newline, quoting=csv.QUOTE_ALL
        )
        writer.writeheader()
        writer.writerows(rows)
        text = out.getvalue()
    else:
        text = newline.join(json.dumps(row, ensure_ascii=False) for row in rows)
    prompts = read(folder, ".csv" if as_csv else ".jsonl", text.encode())
    assert [(prompt.text, prompt.category) for prompt in prompts] == [
        (r["prompt"].strip(), r["category"].strip()) for r in rows
    ]


@fuzzed("the name of a prompt file")
@given(
    path=st.one_of(
        odd_text.map(lambda text: f"{text}.txt"),
        st.sampled_from(
            ["~", "~nobody-of-this-name", "~nobody-of-this-name/x.csv", "/proc/self/mem", "/dev", "\0.csv", "."]
        ),
        st.text("~/.\0\nab\ud800", min_size=1, max_size=8).map(lambda text: f"{text}.csv"),
    )
)
@example(path="\0/a.csv")
@example(path="\ud800.csv")
def test_any_name_of_a_file(path: str) -> None:
    no_hub = mock.patch.dict(sys.modules, {"datasets": None})
    with or_one_line(), no_hub:
        read_source(PromptSource(path, "harmful"))


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv"])
def test_a_line_of_ten_megabytes(folder: Path, suffix: str) -> None:
    if suffix == ".csv":
        with pytest.raises(UserError, match="field larger than field limit"):
            read(folder, suffix, b"prompt\n" + b"x" * BIG)
        return
    line = b'{"prompt": "%s"}' % (b"x" * BIG) if suffix == ".jsonl" else b"x" * BIG
    (prompt,) = read(folder, suffix, line)
    assert len(prompt.text) == BIG


some_prompts = st.lists(
    st.builds(
        Prompt,
        st.one_of(st.text(" aAbé.,'\u00a0\u2028", min_size=1, max_size=12), odd_text),
        st.sampled_from(PROMPT_KINDS),
        st.sampled_from(["", "x", "y"]),
        st.booleans(),
        st.one_of(st.none(), st.sampled_from("pqrs")),
    ),
    max_size=16,
)
sizes = st.builds(SplitSizes, *[st.integers(0, 2)] * 4)


@fuzzed("prompts to be dealt")
@given(some_prompts, sizes, sizes, sizes, st.one_of(st.none(), st.floats(1e-9, 1.0)), st.integers(0, 2**63 - 1))
def test_any_prompts_are_dealt_as_asked_or_refused(
    prompts: list[Prompt], probe: SplitSizes, tune: SplitSizes, report: SplitSizes, near: float | None, seed: int
) -> None:
    config = DataConfig("sets", seed=seed, near_duplicate=near, probe=probe, tune=tune, report=report)
    with or_one_line():
        splits = make_splits(prompts, config)
        check_disjoint(splits, near)
        for split, asked in ((splits["probe"], probe), (splits["tune"], tune), (splits["report"], report)):
            for kind in PROMPT_KINDS:
                assert len(split.of(kind)) == getattr(asked, kind)
