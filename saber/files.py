"""Writing a file so that a reader sees the old one or the new one, never a half."""

from __future__ import annotations

import os
import re
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write text beside ``path`` and move it into place; nothing is left behind when writing fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


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
