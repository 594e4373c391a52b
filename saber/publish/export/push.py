"""Upload an export to the hub: files are listed first, a repository that is there is asked about, no token is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from httpx2 import HTTPError
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
from rich.console import Console
from rich.table import Table

from saber.config.publish import ExportConfig
from saber.publish.text.wording import size_text
from saber.redaction import masked
from saber.vocabulary import UserError

FAILURES = (HfHubHTTPError, HFValidationError, HTTPError, LocalTokenNotFoundError, OSError, ValueError)
SHOWN_LINES = 3  # of what the hub said: the reason is often in the second


def push(
    folder: Path,
    config: ExportConfig,
    console: Console,
    *,
    message: str,
    confirm: Callable[[str], bool] | None = None,
    api: HfApi | None = None,
) -> str | None:
    """Upload a folder to ``config.push_to`` and return its address, ``None`` where it was only listed.

    The token is looked up by huggingface_hub where it keeps it. Files of an earlier export that this one does not have
    are removed in the same commit.

    Raises:
        UserError: there is such a repository and nobody said yes, or the hub did not take it.
    """
    repository = config.push_to
    if repository is None:
        return None
    console.print(files_table(folder, repository))
    if config.push_dry_run:
        console.print("export.push_dry_run: nothing was uploaded", highlight=False)
        return None
    hub = api or HfApi()
    try:
        is_there = hub.repo_exists(repository)
        if is_there and not config.push_overwrite:
            _ask(repository, confirm or _on_terminal)
        hub.create_repo(repository, private=not config.push_public, exist_ok=True)
        hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message=message,
            delete_patterns="*" if is_there else None,
        )
    except FAILURES as error:
        raise UserError(masked(_refused(repository, error))) from None  # what came before may hold a token
    return f"{hub.endpoint}/{repository}"


def files_table(folder: Path, repository: str) -> Table:
    """Every file that would be uploaded with its size."""
    table = Table("file", "size", box=None, title=f"to {repository}", title_justify="left")
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    for file in files:
        table.add_row(file.relative_to(folder).as_posix(), size_text(file.stat().st_size))
    table.add_row(f"{len(files)} files", size_text(sum(file.stat().st_size for file in files)))
    return table


def _ask(repository: str, confirm: Callable[[str], bool]) -> None:
    if not confirm(f"{repository} is there already: replace what it holds?"):
        raise UserError(
            f"expected a yes to replace {repository}, found none: nothing was uploaded; export.push_overwrite=true says"
            " yes, or name another repository"
        )


def _on_terminal(question: str) -> bool:
    """Ask where somebody can answer; nobody there is no yes."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _refused(repository: str, error: Exception) -> str:
    """One line on what the hub said, and what to do."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = " ".join(lines[:SHOWN_LINES])
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, LocalTokenNotFoundError) or status in (401, 403):
        return f"expected a token that may write {repository}, found: {said}; run `hf auth login`, or set HF_TOKEN"
    return f"expected the hub to take {repository}, found: {said}; what was exported is kept, run the command again"
