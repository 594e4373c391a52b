"""Signs that a terminal's encoding lacks are shown as the nearest plain ones: never an error, never half a line."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

NEAREST = "saber.nearest"  # the name of our error handler
PLAIN = {
    "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "·": "-", "•": "*", "…": "...", "’": "'", "‘": "'",
    "“": '"', "”": '"', "→": "->", "←": "<-", "×": "x", "∞": "inf", "≤": "<=", "≥": ">=", "≈": "~", "±": "+-",
    "━": "-", "╸": "-", "╺": "-", "─": "-", "│": "|", "█": "#", "✓": "ok", "✗": "x",
}  # fmt: skip


def degrade_output() -> None:
    """From here on what is printed degrades where the encoding of stdout or stderr lacks a sign."""
    codecs.register_error(NEAREST, _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=NEAREST)


def plain_sign(sign: str) -> str:
    """ASCII for a sign: a plain twin, a letter without its accent, or else ``?``."""
    if sign in PLAIN:
        return PLAIN[sign]
    letters = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return letters or "?"


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(plain_sign(sign) for sign in error.object[error.start : error.end]), error.end
