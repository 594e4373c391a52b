"""Rows of a local file of prompts: JSONL, CSV or plain lines, in UTF-8; what is malformed is named by its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from saber.config import PromptSource
from saber.keys import nearest
from saber.types import UserError
from saber.vocabulary import shown

Record = tuple[str, Mapping[str, object]]  # where it stands, such as "line 3", and its values by column


def is_file(path: str) -> bool:
    """Whether a source names a file: by its suffix, or as there is one."""
    return Path(path).suffix.lower() in READERS or _expanded(path).is_file()


def read_file(source: PromptSource) -> list[Record]:
    """The rows of a local file, by its suffix.

    Raises:
        UserError: it is missing, of another suffix or encoding, or malformed.
    """
    path = _expanded(source.path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"expected a file that ends in {', '.join(READERS)}, found {path}: convert it")
    if source.subset or source.revision or source.split != "train":
        raise UserError(f"subset, split and revision are for hub data sets, {path} is a file: remove them")
    return list(reader(path, _read_text(path)))


def _expanded(path: str) -> Path:
    try:
        expanded = Path(path).expanduser()
        expanded.is_file()
        return expanded
    except (OSError, RuntimeError, ValueError) as error:  # no such home, too long, or no name for a file
        raise UserError(f"expected a file or a data set, found {shown(path)} ({error}): name another") from error


def _read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        there = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"no file {path} (from {Path.cwd()}){nearest(path.name, there)}") from error
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
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line, parse_constant=_no_number)
        except (RecursionError, ValueError) as error:
            told = error if isinstance(error, json.JSONDecodeError) else None
            column, reason = (told.colno, told.msg.lower()) if told else (1, str(error))
            raise UserError(
                f"{path}, line {number}: expected one JSON object a line, found bad JSON at column {column}"
                f" ({reason}): mend it"
            ) from error
        if not isinstance(values, dict):
            raise UserError(
                f"{path}, line {number}: expected one JSON object a line, found a {type(values).__name__}: split it"
            )
        yield f"line {number}", values


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number in JSON")


def _csv_file(path: Path, text: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    start = 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            if not cells:
                continue
            if not header:
                header = cells
                _check_header(path, header)
            elif len(cells) != len(header):
                raise UserError(
                    f"{path}, line {line}: expected {len(header)} cells as in the header,"
                    f" found {len(cells)}: quote cells that hold a comma"
                )
            else:
                yield f"line {line}", dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}, line {start}: expected CSV, {error}: mend the quotes") from error


def _check_header(path: Path, header: Sequence[str]) -> None:
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise UserError(f"{path}: expected different column names, found {twice[0]!r} twice: rename one")


READERS: dict[str, Callable[[Path, str], Iterator[Record]]] = {
    ".jsonl": _json_file,
    ".ndjson": _json_file,
    ".json": _json_file,
    ".csv": _csv_file,
    ".txt": _lines_file,
}
