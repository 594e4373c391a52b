"""What must not be read by others: passwords and tokens become ***, the home folder becomes ~."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

MASK = "***"
IN_URL = re.compile(r"(://[^\s:/@]*):[^\s/]*@")  # up to the last @, as a password may hold one
IN_QUERY = re.compile(r"([?&](?:password|passwd|sslpassword|token)=)[^&\s'\"]+", re.IGNORECASE)
# As long as those that are given out, and alone: a folder's or a study's name that begins alike is no secret.
TOKEN = re.compile(r"(?<![A-Za-z0-9_-])(?:(?:hf|api_org)_[A-Za-z0-9]{30,}(?![A-Za-z0-9_])|sk-[A-Za-z0-9_-]{32,})")
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "OPENAI_API_KEY", "PGPASSWORD")
SHORT = 6  # a shorter secret is likelier a word of the text than the secret
LONG = 16  # a longer one never stands in a longer word by chance


def masked(text: str) -> str:
    """Text without the passwords of URLs and without tokens, those of the environment among them."""
    text = IN_QUERY.sub(rf"\1{MASK}", IN_URL.sub(rf"\1:{MASK}@", text))
    for name in SECRETS:
        secret = os.environ.get(name, "")
        if len(secret) >= SHORT:
            exactly = re.escape(secret)
            alone = rf"(?<![A-Za-z0-9]){exactly}(?![A-Za-z0-9])"
            text = re.sub(exactly if len(secret) >= LONG else alone, MASK, text)
    return TOKEN.sub(MASK, text)


def public(text: str) -> str:
    """Masked text whose paths do not say whose home they are in."""
    return without_home(masked(text), Path.home())


def without_home(text: str, home: PurePath) -> str:
    """Text whose paths begin with ``~`` instead of the home folder, on Windows too; a home that is the root stays."""
    if home == type(home)(home.anchor):
        return text
    anyway = re.IGNORECASE if isinstance(home, PureWindowsPath) else 0
    spelt = "|".join(re.escape(fromkey) for fromkey in dict.fromkeys((str(home), home.as_posix())))
    return re.sub(rf"(?:{spelt})(?=[/\\\s'\":,;)\]}}]|$)", "~", text, flags=anyway)


def public_values(value: Any) -> Any:
    """The same for every text in nested values."""
    if isinstance(value, str):
        return public(value)
    if isinstance(value, Mapping):
        return {key: public_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(public_values(item) for item in value)
    return value
