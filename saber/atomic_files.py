"""Writing a file so that a reader sees the old one or the new one, never a half."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A draft beside ``path``, hidden and named after this process, which is moved into place at the end.

    Nothing is left behind when writing it fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write text so that a reader sees all of it or what was there before."""
    with drafted(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def remove_abandoned(folder: Path) -> None:
    """Remove drafts of writers that were killed on this machine: hidden files that name a process which is no more."""
    for path in folder.rglob(".*"):
        named = re.fullmatch(r"\..+\.(\d+)(\.tmp)?", path.name)
        if named is not None and path.is_file() and not _is_alive(int(named[1])):
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
