"""The commands that make a point again, in a folder of its own: its parameters are the one known point of a new study.

What a sampler draws depends on where a study was stopped and resumed, so a sweep of as many trials need not meet it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from saber.publish.analysis.settings import setting
from saber.publish.text.markdown import Md
from saber.publish.text.wording import plain
from saber.types import Frontier, FrontierPoint

PLAIN_WORD = re.compile(r"[A-Za-z_][\w.-]*")
OTHER_MEANINGS = ("true", "false", "null", "nan", "inf", "on", "off", "yes", "no")


def commands_again(frontier: Frontier, point: FrontierPoint) -> list[Md]:
    """A sweep of this trial alone and its export, quoted for a shell."""
    words = shlex.split(setting(frontier, None, "words") or f"+sweep={frontier.study}")
    kept = [word for word in words if not word.lstrip("+").startswith("study.enqueue=")]
    sweep = shlex.join(kept)
    known = shlex.join(["study.n_trials=1", f"study.enqueue=[{as_typed(point.params)}]"])
    return [Md(plain(f"python -m saber.sweep {sweep} {known}")), Md(plain(f"python -m saber.export {sweep} point=0"))]


def as_typed(value: Any) -> str:
    """A value as Hydra's command line spells it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_typed(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(as_typed, value)) + "]"
    if isinstance(value, str) and PLAIN_WORD.fullmatch(value) and value.lower() not in OTHER_MEANINGS:
        return value
    return json.dumps(value, ensure_ascii=False)
