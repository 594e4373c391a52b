"""What must not be read by others: passwords and tokens become ***, the home folder becomes ~."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MASK = "***"
IN_URL = re.compile(r"(://[^\s:/@]*):[^\s/]*@")  # up to the last @, as a password may hold one
IN_QUERY = re.compile(r"([?&](?:password|passwd|sslpassword|token)=)[^&\s'\"]+", re.IGNORECASE)
TOKEN = re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{8,}|\bsk-[A-Za-z0-9_-]{16,}")
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "OPENAI_API_KEY", "PGPASSWORD")
SHORT = 6  # a shorter secret is likelier a word of the text than the secret


def masked(text: str) -> str:
    """Text without the passwords of URLs and without tokens, those of the environment among them."""
    text = IN_QUERY.sub(rf"\1{MASK}", IN_URL.sub(rf"\1:{MASK}@", text))
    for name in SECRETS:
        secret = os.environ.get(name, "")
        if len(secret) >= SHORT:
            text = text.replace(secret, MASK)
    return TOKEN.sub(MASK, text)


def public(text: str) -> str:
    """Masked text whose paths do not say whose home they are in."""
    home = str(Path.home())
    return masked(text) if home == "/" else re.sub(rf"{re.escape(home)}(?=[/\s'\"]|$)", "~", masked(text))


def public_values(value: Any) -> Any:
    """The same for every text in nested values."""
    if isinstance(value, str):
        return public(value)
    if isinstance(value, Mapping):
        return {key: public_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(public_values(one) for one in value)
    return value
