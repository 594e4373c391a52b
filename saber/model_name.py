"""A study's name from its model's: the last part of a folder or of a hub id."""

from __future__ import annotations

import re
from pathlib import Path

LONGEST = 80  # characters, of the 100 that a study's name may have


def model_name(path: str) -> str:
    """``HuggingFaceTB/SmolLM2-135M-Instruct`` and ``/models/SmolLM2-135M-Instruct/`` are ``SmolLM2-135M-Instruct``.

    In the hub's cache the folder is named after a revision, and the model three folders up.
    """
    folder = Path(path).expanduser()
    if folder.name in ("", ".", ".."):
        folder = folder.resolve()
    if folder.parent.name == "snapshots":
        folder = Path(folder.parent.parent.name.replace("--", "/"))
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("._-")
    return plain[:LONGEST] or "model"
