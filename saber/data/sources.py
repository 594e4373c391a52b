"""Prompts from a local file or the Hugging Face hub: a row is used or named in an error, never just dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from saber.config import PromptSource
from saber.data.prompt_columns import FIELDS, LOOKED_FOR, columns_of, listed
from saber.data.prompt_files import SUFFIXES, is_file, read_file
from saber.data.tables import Record
from saber.keys import nearest
from saber.redaction import public
from saber.types import Prompt, UserError

PLAIN = (str, int, float, type(None))
Say = Callable[[str], None]
PLURAL = {"prompt": "prompts", "category": "categories", "pair_id": "pairs", "answer": "answers"}


def read_source(source: PromptSource, say: Say = lambda _: None) -> tuple[Prompt, ...]:
    """Read every prompt of a source, in its order, without outer white space; ``say`` is told what was taken.

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
            f"{len(problems)} of {len(records)} rows of {source.path} cannot be used: {listed(problems)};"
            " mend or remove them"
        )
    _check_protected(source, prompts)
    say(public(_taken(source, columns, records)))
    return tuple(prompts)


def _columns(source: PromptSource, records: Sequence[Record]) -> dict[str, str]:
    """Which column each field is read from; only one that holds nothing but text and numbers is looked for."""
    wanted = LOOKED_FOR[source.kind] if source.usual_columns else ()
    nested = {column for _, values in records for column, value in values.items() if not isinstance(value, PLAIN)}
    return columns_of(source.path, _found(records), source.columns, wanted, without=nested)


def _found(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(column for _, values in records for column in values))


def _taken(source: PromptSource, columns: Mapping[str, str], records: Sequence[Record]) -> str:
    """What was read from which column, and which columns were not read."""
    first, *rest = (f"{PLURAL[field]} from {column!r}" for field, column in columns.items())
    unread = [column for column in _found(records) if column not in columns.values()]
    told = f"{source.path}: {len(records)} {source.kind} {'; '.join([first, *rest])}"
    return told + (f"; not read: {listed(unread)}" if unread else "")


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
    text, category, pair_id, answer = (str(texts.get(field) or "") for field in FIELDS)
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
    categories = sorted({prompt.category for prompt in prompts if prompt.category})
    for category in source.protected:
        if category not in categories:
            raise UserError(
                f"{source.path} has no category {category!r} to protect: it has"
                f" {listed(categories) or 'no categories'}{nearest(category, categories)}"
            )


def _read_hub(source: PromptSource) -> list[Record]:
    """The rows of a hub data set: the one place that needs ``datasets``."""
    local = f"or name local {', '.join(SUFFIXES)} files"
    if Path(source.path).expanduser().is_absolute() and not Path(source.path).expanduser().is_dir():
        raise UserError(f"expected a file that ends in {', '.join(SUFFIXES)}, found {source.path}: convert it")
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
