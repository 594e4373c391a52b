"""Columns by their usual names: which one holds the prompt, its category, its pair and its answer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from saber.keys import nearest
from saber.types import UserError
from saber.vocabulary import PromptKind

FIELDS = ("prompt", "category", "pair_id", "answer")
MAX_LISTED = 5  # how many bad rows, columns or categories an error names
# In the order of preference; a name is compared in lower case, without what separates its words.
USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": (
        *("prompt", "prompts", "userprompt", "forbiddenprompt", "instruction", "goal", "question", "behavior"),
        *("behaviour", "query", "request", "text", "input", "message", "content", "sentence"),
    ),
    "category": (
        *("category", "harmcategory", "semanticcategory", "functionalcategory", "typesofharm", "riskarea", "type"),
        *("topic", "subcategory"),
    ),
    "pair_id": ("pairid", "pair"),
    "answer": ("answer", "correctanswer", "solution", "target"),
}
# A harmful file's "target" is no answer, and only requests have twins.
LOOKED_FOR: Mapping[PromptKind, tuple[str, ...]] = {
    "harmful": ("category", "pair_id"),
    "harmless": ("category", "pair_id"),
    "borderline": ("category",),
    "capability": ("category", "answer"),
}


def columns_of(
    path: str,
    names: Sequence[str],
    mapped: Mapping[str, str],
    wanted: Collection[str],
    *,
    without: Collection[str] = (),
) -> dict[str, str]:
    """Which column each field is read from; a field that nothing was found for is left out.

    A mapped field is read from its column; ``prompt`` from the first column with a usual name, and the fields
    ``wanted`` too, but from none of those ``without``; every other from a column of its own name.

    Raises:
        UserError: a mapped column or the prompt's is not there, or a name stands there in two spellings.
    """
    for field in mapped:
        if field not in FIELDS:
            raise UserError(f"{path}: columns maps {', '.join(FIELDS)}, found {field}{nearest(field, list(FIELDS))}")
    columns: dict[str, str] = {}
    for field in FIELDS:
        if field in mapped:
            columns[field] = _mapped(path, field, mapped[field], names)
        elif field == "prompt" or field in wanted:
            usable = names if field == "prompt" else [column for column in names if column not in without]
            if (column := _usual(path, field, usable)) is not None:
                columns[field] = column
        elif field in names:
            columns[field] = field
    if "prompt" not in columns:
        raise UserError(
            f"{path}: expected a column for the prompt such as prompt, text, instruction, question, found"
            f" {listed(names)}: rename one, or map columns.prompt in data.sets"
        )
    return columns


def _mapped(path: str, field: str, column: str, names: Sequence[str]) -> str:
    if column not in names:
        raise UserError(
            f"{path} has no column {column!r} for {field}: map columns.{field} to one of"
            f" {listed(names)}{nearest(column, list(names))}"
        )
    return column


def _usual(path: str, field: str, names: Sequence[str]) -> str | None:
    """The column whose name comes first among the usual ones; the field's own name comes before all."""
    if field in names:
        return field
    for name in USUAL_NAMES[field]:
        there = [column for column in names if _plain(column) == name]
        if len(there) > 1:
            raise UserError(f"{path}: expected one column for the {field}, found {' and '.join(there)}: rename one")
        if there:
            return there[0]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def listed(words: Sequence[str]) -> str:
    """The first few words, and how many more there are."""
    more = len(words) - MAX_LISTED
    return ", ".join(words[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
