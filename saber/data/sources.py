"""Prompts from a local file or the Hugging Face hub: a row is used or named in an error, never just dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from saber.config import PromptSource
from saber.data.prompt_files import READERS, Record, is_file, read_file
from saber.keys import nearest
from saber.types import Prompt, UserError

FIELDS = ("prompt", "category", "pair_id", "answer")
MAX_LISTED = 5  # how many bad rows, columns or categories an error names


def read_source(source: PromptSource) -> tuple[Prompt, ...]:
    """Read every prompt of a source, in its order, without outer white space.

    Raises:
        UserError: the source is missing, unreachable or malformed, a column or a protected category is not there,
            or a row holds no usable text.
    """
    records = read_file(source) if is_file(source.path) else _read_hub(source)
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


def _read_hub(source: PromptSource) -> list[Record]:
    """The rows of a hub data set: the one place that needs ``datasets``."""
    local = f"or name local {', '.join(READERS)} files"
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
