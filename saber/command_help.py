"""What ``--help`` prints: what the command does, the sweeps by name, the groups, and where every key is explained."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

SWEEP = "sweep"
WIDE = 30
HEAD = """usage: {program} +sweep=NAME [key=value ...]

{does}

Sweeps (+sweep=NAME):
{sweeps}

Groups (group=NAME):
{groups}

key=value sets any key, as in study.n_trials=80; --cfg job prints them all as they are composed, docs/cli.md
explains them. --config-dir FOLDER adds a folder of your own; --multirun runs several; --hydra-help lists the rest.
"""


def help_text(program: str, task: Callable[..., Any]) -> str:
    """The help of one command, whose own docstring says what it does."""
    groups = _groups()
    return HEAD.format(
        program=program,
        does=(task.__doc__ or "").strip().split("\n\n")[0],
        sweeps="\n".join(f"  {path.stem:{WIDE}} {described(path)}" for path in groups.pop(SWEEP)),
        groups="\n".join(f"  {name:10} {', '.join(path.stem for path in paths)}" for name, paths in groups.items()),
    )


def described(path: Path) -> str:
    """The sentence that a configuration file's first comment says of it."""
    said: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("# "):
            break
        said.append(line.removeprefix("# "))
    sentence, stop, _ = " ".join(said).partition(". ")
    return sentence + stop.strip()


def _groups() -> dict[str, list[Path]]:
    folder = Path(str(files("saber.conf")))
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and any(path.glob("*.yaml")))
    return {path.name: sorted(path.glob("*.yaml")) for path in folders}
