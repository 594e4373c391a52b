"""Prompts from a local file or the Hugging Face hub: a row is used or named in an error, never just dropped."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from saber.config import PromptSource
from saber.keys import nearest
from saber.types import Prompt, UserError
from saber.vocabulary import shown

FIELDS = ("prompt", "category", "pair_id", "answer")
MAX_LISTED = 5  # how many bad rows, columns or categories an error names

Record = tuple[str, Mapping[str, object]]  # where it stands, such as "line 3", and its values by column


def read_source(source: PromptSource) -> tuple[Prompt, ...]:
    """Read every prompt of a source, in its order, without outer white space.

    Raises:
        UserError: the source is missing, unreachable or malformed, a column or a protected category is not there,
            or a row holds no usable text.
    """
    records = _read_file(source) if _is_file(source.path) else _read_hub(source)
    if not records:
        raise UserError(f"expected prompts in {source.path}, found none: name another file or data set")
    columns = _columns(source, records)
    problems: list[str] = []
    prompts: list[Prompt] = []
    for place, values in records:
        texts = {field: _as_text(field, values.get(column)) for field, column in columns.items()}
        problem = _problem(texts)
        if problem:
            problems.append(f"{place} {problem}")
        else:
            prompts.append(_prompt(texts, source))
    if problems:
        raise UserError(
            f"{len(problems)} of {len(records)} rows of {source.path} cannot be used: {_listed(problems)};"
            " mend or remove them"
        )
    _check_protected(source, prompts)
    return tuple(prompts)


# --- rows to prompts ---


def _columns(source: PromptSource, records: Sequence[Record]) -> dict[str, str]:
    """Which column each field is read from: the mapped ones and ``prompt`` must be there, the others may."""
    for field in source.columns:
        if field not in FIELDS:
            raise UserError(
                f"{source.path}: columns maps {', '.join(FIELDS)}, found {field}{nearest(field, list(FIELDS))}"
            )
    found = list(dict.fromkeys(column for _, values in records for column in values))
    columns = {field: source.columns.get(field, field) for field in FIELDS}
    for field, column in columns.items():
        if column not in found and (field == "prompt" or field in source.columns):
            raise UserError(
                f"{source.path} has no column {column!r} for {field}: map columns.{field} to one of"
                f" {_listed(found)}{nearest(column, found)}"
            )
    return columns


def _as_text(field: str, value: object) -> object:
    """Text without outer white space; a number is text too, but as a prompt it would be a mistake."""
    if isinstance(value, str):
        return value.strip()
    if field == "prompt" or not isinstance(value, int | float):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _problem(texts: Mapping[str, object]) -> str | None:
    """What keeps a row from being used, if anything."""
    for field, text in texts.items():
        if text is None or text == "":
            if field == "prompt":
                return "is empty"
        elif not isinstance(text, str):
            return f"has {type(text).__name__} instead of text as its {field}"
        elif "\0" in text:
            return f"has a NUL character in its {field}"
        elif any("\ud800" <= character <= "\udfff" for character in text):
            return f"has half a surrogate pair in its {field}"
    return None


def _prompt(texts: Mapping[str, object], source: PromptSource) -> Prompt:
    text, category, pair_id, answer = (str(texts[field] or "") for field in FIELDS)
    return Prompt(
        text=text,
        kind=source.kind,
        category=category,
        protected=category in source.protected,
        pair_id=pair_id or None,
        answer=answer or None,
    )


def _check_protected(source: PromptSource, prompts: Sequence[Prompt]) -> None:
    """A misspelt protected category would protect nothing, and nobody would notice."""
    found = sorted({prompt.category for prompt in prompts if prompt.category})
    for category in source.protected:
        if category not in found:
            raise UserError(
                f"{source.path} has no category {category!r} to protect: it has"
                f" {_listed(found) or 'no categories'}{nearest(category, found)}"
            )


def _listed(words: Sequence[str]) -> str:
    """The first few words, and how many more there are."""
    more = len(words) - MAX_LISTED
    return ", ".join(words[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


# --- local files to rows ---


def _is_file(path: str) -> bool:
    return Path(path).suffix.lower() in _READERS or _expanded(path).is_file()


def _read_file(source: PromptSource) -> list[Record]:
    """The rows of a local file, by its suffix."""
    path = _expanded(source.path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"expected a file that ends in {', '.join(_READERS)}, found {path}: convert it")
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


_READERS: dict[str, Callable[[Path, str], Iterator[Record]]] = {
    ".jsonl": _json_file,
    ".ndjson": _json_file,
    ".json": _json_file,
    ".csv": _csv_file,
    ".txt": _lines_file,
}


# --- hub data sets to rows ---


def _read_hub(source: PromptSource) -> list[Record]:
    """The rows of a hub data set: the one place that needs ``datasets``."""
    local = f"or name local {', '.join(_READERS)} files"
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise UserError(
            f"data set {source.path} is read with the datasets library: pip install 'saber-sweep[hub]', {local}"
        ) from error
    try:
        rows = load_dataset(source.path, name=source.subset, split=source.split, revision=source.revision)
    except (OSError, ValueError, DatasetsError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot load data set {source.path} (subset {source.subset}, split {source.split}): {reason};"
            f" check the network and these names, {local}"
        ) from error
    return [(f"row {number}", values) for number, values in enumerate(rows)]
