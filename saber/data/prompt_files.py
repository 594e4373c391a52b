"""Rows of a local file of prompts: JSON, tables or plain lines, in UTF-8; what is malformed is named by its line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from saber.config import PromptSource
from saber.data.tables import Record, csv_rows, parquet_rows, tsv_rows
from saber.keys import nearest
from saber.types import UserError
from saber.vocabulary import shown


def is_file(path: str) -> bool:
    """Whether a source names a file: by its suffix, or as there is one."""
    return Path(path).suffix.lower() in SUFFIXES or _expanded(path).is_file()


def read_file(source: PromptSource) -> list[Record]:
    """The rows of a local file, by its suffix.

    Raises:
        UserError: it is missing, of another suffix or encoding, or malformed.
    """
    path = _expanded(source.path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"expected a file that ends in {', '.join(SUFFIXES)}, found {path}: convert it")
    if source.subset or source.revision or source.split != "train":
        raise UserError(f"subset, split and revision are for hub data sets, {path} is a file: remove them")
    return list(parquet_rows(_there(path)) if suffix == PARQUET else TEXT_READERS[suffix](path, _read_text(path)))


def _expanded(path: str) -> Path:
    try:
        expanded = Path(path).expanduser()
        expanded.is_file()
        return expanded
    except (OSError, RuntimeError, ValueError) as error:  # no such home, too long, or no name for a file
        raise UserError(f"expected a file or a data set, found {shown(path)} ({error}): name another") from error


def _there(path: Path) -> Path:
    """A path at which there is something.

    Raises:
        UserError: there is nothing; the nearest name of a file beside it is said.
    """
    if not path.exists():
        there = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"no file {path} (from {Path.cwd()}){nearest(path.name, there)}")
    return path


def _read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark."""
    try:
        raw = _there(path).read_bytes()
    except (OSError, ValueError) as error:  # a ValueError where the name is none that a file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot read {path}: {reason}") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: expected UTF-8, found another encoding: convert it") from error


def _lines(text: str) -> list[str]:
    """Lines by any newline, and by nothing else: JSON text may hold U+2028."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n") if text else []


def _lines_file(_: Path, text: str) -> Iterator[Record]:
    for number, line in enumerate(_lines(text), start=1):
        yield f"line {number}", {"prompt": line}


def _json_file(path: Path, text: str) -> Iterator[Record]:
    """One array of objects or of texts, however it is printed, or else one object a line."""
    if (array := _json_array(text)) is not None:
        for number, value in enumerate(array):
            if not isinstance(value, dict | str):
                raise UserError(
                    f"{path}, item {number}: expected an object or a text, found a {type(value).__name__}: mend it"
                )
            yield f"item {number}", {"prompt": value} if isinstance(value, str) else value
        return
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line, parse_constant=_no_number)
        except (RecursionError, ValueError) as error:
            told = error if isinstance(error, json.JSONDecodeError) else None
            column, reason = (told.colno, told.msg.lower()) if told else (1, str(error))
            raise UserError(
                f"{path}, line {number}: expected one JSON object a line or one array of them, found bad JSON at"
                f" column {column} ({reason}): mend it"
            ) from error
        if not isinstance(values, dict):
            raise UserError(
                f"{path}, line {number}: expected one JSON object a line, found a {type(values).__name__}: split it"
            )
        yield f"line {number}", values


def _json_array(text: str) -> list[object] | None:
    """What the text holds where all of it is one array."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (RecursionError, ValueError):  # then its lines are read, and what is bad is named by its line
        return None
    return value if isinstance(value, list) else None


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number in JSON")


PARQUET = ".parquet"
TEXT_READERS: dict[str, Callable[[Path, str], Iterator[Record]]] = {
    ".jsonl": _json_file,
    ".ndjson": _json_file,
    ".json": _json_file,
    ".csv": csv_rows,
    ".tsv": tsv_rows,
    ".txt": _lines_file,
}
SUFFIXES = (*TEXT_READERS, PARQUET)
