"""Rows of a table: comma, semicolon or tab separated values, and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from saber.types import UserError

Record = tuple[str, Mapping[str, object]]  # where it stands, such as "line 3", and its values by column
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


def csv_rows(path: Path, text: str) -> Iterator[Record]:
    """The rows of a table whose delimiter is that which splits its header into the most columns."""
    return _delimited(path, text, _delimiter_of(text))


def tsv_rows(path: Path, text: str) -> Iterator[Record]:
    """The rows of a table separated by tabs."""
    return _delimited(path, text, "\t")


def parquet_rows(path: Path) -> Iterator[Record]:
    """The rows of a Parquet file: the one place that needs ``pyarrow``.

    Raises:
        UserError: pyarrow is not installed, or the file is not Parquet.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError as error:
        raise UserError(f"{path} is read with pyarrow, found none: pip install 'saber-sweep[parquet]'") from error
    try:
        rows = read_table(path).to_pylist()
    except (OSError, ArrowException) as error:
        raise UserError(f"cannot read {path} as Parquet: {' '.join(str(error).split())}") from error
    for number, values in enumerate(rows):
        yield f"row {number}", values


def _delimiter_of(text: str) -> str:
    """The delimiter that splits the header into the most cells, a comma where none does better."""
    return max(DELIMITERS, key=lambda delimiter: _n_cells(text, delimiter))


def _n_cells(text: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), []))
    except csv.Error:
        return 0


def _delimited(path: Path, text: str, delimiter: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    name = DELIMITERS[delimiter]
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
                    f" found {len(cells)}: quote cells that hold a {name}"
                )
            else:
                yield f"line {line}", dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}, line {start}: expected {name} separated cells, {error}: mend the quotes") from error


def _check_header(path: Path, header: Sequence[str]) -> None:
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise UserError(f"{path}: expected different column names, found {twice[0]!r} twice: rename one")
