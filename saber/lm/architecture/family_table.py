"""The page's tables of families, written from the rows: what is edited in each, and what is refused and why."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import groupby
from typing import TypeVar

from saber.lm.architecture.families import FAMILIES
from saber.lm.architecture.unserved import UNSERVED
from saber.lm.architecture.writer_rows import Family, WriterRow
from saber.types import WRITER_KINDS

T = TypeVar("T", bound=Hashable)
HEADS = ("`model_type` of the text half", "attention and other token mixers", "MLP and experts", "per layer")
BEGIN, END = "<!-- python -m saber.writers --table -->", "<!-- end of the table -->"


def family_table() -> str:
    """Both tables as Markdown: a line for each way of writing, then a line for each reason of refusing."""
    served = [_line(family, names) for family, names in _groups(FAMILIES)]
    refused = [f"| {_names(names)} | {reason} |" for reason, names in _groups(UNSERVED)]
    return "\n".join(
        [
            f"| {' | '.join(HEADS)} |",
            f"|{'---|' * len(HEADS)}",
            *served,
            "",
            f"{len(FAMILIES)} types of text half. Not served:",
            "",
            "| `model_type` | why |",
            "|---|---|",
            *refused,
        ]
    )


def in_page(page: str) -> str:
    """A page with its tables as the rows are now, between the two marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{family_table()}\n{END}{rest.split(END)[1]}"


def _groups(of: Mapping[str, T]) -> list[tuple[T, list[str]]]:
    """Names by what they share, in the order of each group's first name."""
    by_value: dict[T, list[str]] = {}
    for name in sorted(of):
        by_value.setdefault(of[name], []).append(name)
    return list(by_value.items())


def _names(names: list[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


def _line(family: Family, names: list[str]) -> str:
    about = [f"blocks at `{family.blocks}`"] if family.blocks != "model.layers" else []
    about += [f"times `{family.block_scale}`"] if family.block_scale is not None else []
    about += ["not exact"] if family.inexact is not None else []
    first = _names(names) + (f" ({', '.join(about)})" if about else "")
    cells = [_cell([row for row in family.writers if row.kind == kind]) for kind in WRITER_KINDS]
    return f"| {' | '.join([first, *cells])} |"


def _cell(rows: list[WriterRow]) -> str:
    """The writers of one kind; one that stands in several rows differs by its norms, which are all named."""
    said = [_writer(module, list(of)) for module, of in groupby(rows, key=lambda row: row.module)]
    return ", ".join(said)


def _writer(module: str, rows: list[WriterRow]) -> str:
    row = rows[0]
    about: list[str] = [row.layout] if row.layout != "oi" else []
    about += [f"its `{row.weight}`"] if row.weight is not None else []
    layout = f" ({', '.join(about)})" if about else ""
    chains = [", then ".join(f"`{norm}`" for norm in other_row.norms) for other_row in rows if other_row.norms]
    behind = f" behind {' or '.join(chains)}" if chains else ""
    times = f" times `{row.multiplier}`" if row.multiplier is not None else ""
    return f"`{module}`{layout}{behind}{times}"
