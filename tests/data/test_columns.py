"""Files of every kind are read by the usual names of their columns, and what was taken is said."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from saber.config import PromptSource
from saber.data.prompt_columns import FIELDS, columns_of
from saber.data.sources import read_source
from saber.types import Prompt, UserError
from saber.vocabulary import PromptKind

ROWS = [{"ID": i, "Prompt Text ": None, "Question": f"What is {i}?", "Answer": str(i)} for i in (1, 2)]
PROMPTS = tuple(Prompt(f"What is {i}?", "capability", answer=str(i)) for i in (1, 2))


def table(delimiter: str) -> str:
    return "".join(delimiter.join((str(r["ID"]), str(r["Question"]), str(r["Answer"]))) + "\n" for r in ROWS)


def written(folder: Path, suffix: str) -> str:
    """The same two rows in a file of each kind."""
    path = folder / f"rows{suffix}"
    plain = [{key: value for key, value in row.items() if value is not None} for row in ROWS]
    delimiter = {"": ",", ";": ";", "\t": "\t", ".tsv": "\t"}
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(plain), path)
    elif suffix == ".json":
        path.write_text(json.dumps(plain, indent=2))
    elif suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, plain)))
    else:
        sign = delimiter[suffix]
        path = path if suffix == ".tsv" else folder / "rows.csv"
        path.write_text(f"ID{sign}Question{sign}Answer\n" + table(sign))
    return str(path)


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".jsonl", ".tsv", "", ";", "\t"])
def test_the_same_rows_in_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path, said = written(tmp_path, suffix), list[str]()
    assert read_source(PromptSource(path, "capability", usual_columns=True), said.append) == PROMPTS
    assert said == [f"{path}: 2 capability prompts from 'Question'; answers from 'Answer'; not read: ID"]


def test_an_array_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n  "one",\n  "two"\n]\n')
    assert [p.text for p in read_source(PromptSource(str(path), "harmless"))] == ["one", "two"]


def test_a_number_in_an_array_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('["one", 2]')
    with pytest.raises(UserError, match="item 1: expected an object or a text, found a int"):
        read_source(PromptSource(str(path), "harmless"))


@pytest.mark.parametrize(
    ("columns", "kind", "expected"),
    [
        (["Goal", "Target", "Behavior", "Category"], "harmful", {"prompt": "Goal", "category": "Category"}),
        (["instruction", "input", "output", "text"], "harmless", {"prompt": "instruction"}),
        (["Behavior", "FunctionalCategory", "SemanticCategory"], "harmful", {"category": "SemanticCategory"}),
        (["question", "correct_answer", "support"], "capability", {"answer": "correct_answer"}),
        (["text", "pair_id"], "harmless", {"prompt": "text", "pair_id": "pair_id"}),
        (["PROMPT", "question"], "harmless", {"prompt": "PROMPT"}),
        (["prompt", "Prompt"], "harmless", {"prompt": "prompt"}),
        (["goal", "answer", "target"], "harmful", {"prompt": "goal"}),
    ],
)
def test_usual_names(tmp_path: Path, columns: list[str], kind: PromptKind, expected: dict[str, str]) -> None:
    path, said = tmp_path / "a.jsonl", list[str]()
    path.write_text(json.dumps({column: f"in {column}" for column in columns}))
    (prompt,) = read_source(PromptSource(str(path), kind, usual_columns=True), said.append)
    texts = {"prompt": prompt.text, "category": prompt.category, "pair_id": prompt.pair_id, "answer": prompt.answer}
    assert all(texts[field] == f"in {column}" for field, column in expected.items())
    if kind == "harmful":
        assert prompt.answer is None or "answer" in columns


def test_two_spellings_of_a_name_are_not_guessed_between() -> None:
    with pytest.raises(UserError, match="expected one column for the prompt, found Goal and GOAL: rename one"):
        columns_of("a.csv", ["Goal", "GOAL"], {}, FIELDS)


def test_a_column_of_lists_is_no_category(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "one", "category": ["a", "b"], "type": "t"}))
    (prompt,) = read_source(PromptSource(str(path), "harmful", usual_columns=True))
    assert prompt.category == "t"


def test_columns_of_sets_are_those_of_their_own_names_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "one", "type": "t", "Category": "c"}))
    assert read_source(PromptSource(str(path), "harmful")) == (Prompt("one", "harmful"),)


def test_a_table_without_a_header_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("How do I bake bread?\nHow do I sing?\n")
    with pytest.raises(UserError, match=r"expected a column for the prompt .* found How do I bake bread\?: rename one"):
        read_source(PromptSource(str(path), "harmless", usual_columns=True))


def test_parquet_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("prompt\none\n")
    with pytest.raises(UserError, match=r"cannot read .*a\.parquet as Parquet"):
        read_source(PromptSource(str(path), "harmless"))


def test_parquet_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, ".parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"read with pyarrow, found none: pip install 'saber-sweep\[parquet\]'"):
        read_source(PromptSource(path, "harmless"))
