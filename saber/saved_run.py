"""The configuration that a study was begun with, kept in its folder: later commands need its name only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from saber.atomic_files import write_atomically
from saber.config import Config
from saber.keys import CONFIG, config_keys, parse_config, value_of, with_values
from saber.redaction import masked, public_values
from saber.vocabulary import UserError

FILE = "run.json"
STORAGE = "study.storage"


def save_run(folder: Path, config: Config) -> None:
    """Keep a configuration in a study's folder, without secrets; paths begin with ~ instead of the home folder."""
    plain = CONFIG.dump_python(config, mode="json")
    storage = config.study.storage
    if storage is not None and masked(storage) != storage:
        plain["study"]["storage"] = None
        plain["overrides"] = [word for word in config.overrides if masked(word) == word]
    plain["needs"] = [] if plain["study"]["storage"] == storage else [STORAGE]
    write_atomically(folder / FILE, json.dumps(public_values(plain), indent=1))


def with_saved_run(config: Config) -> Config:
    """What the study was begun with, changed by the command line's words, where they name a study and no sweep.

    Elsewhere, and where the study's folder keeps no configuration, it is what the words compose.

    Raises:
        UserError: a word changes what cannot be changed without naming the sweep, or the password is not given.
    """
    keys = [word.lstrip("+").partition("=")[0] for word in config.overrides]
    file = Path(config.study.dir).expanduser() / config.study.name / FILE
    if "study.name" not in keys or "sweep" in keys or not file.is_file():
        return config
    plain = json.loads(file.read_text(encoding="utf-8"))
    missing = [key for key in plain.pop("needs") if key not in keys]
    if missing:
        raise UserError(f"study {config.study.name} has a password that is not kept: give {', '.join(missing)}=")
    saved = parse_config(plain)
    words = [*(word for word in saved.overrides if word not in config.overrides), *config.overrides]
    values = {key: value for word in keys for key, value in _values(config, word)}
    return with_values(saved, {**values, "overrides": words})


def _values(config: Config, word: str) -> list[tuple[str, Any]]:
    """The keys that a word of the command line sets, with their values: one, or a whole section's."""
    sections = {name: hint for name, hint in get_type_hints(Config).items() if is_dataclass(hint)}
    if word in sections:
        return [(f"{word}.{key}", value_of(config, f"{word}.{key}")) for key in config_keys(sections[word])]
    if word in config_keys() and word != "space":
        return [(word, value_of(config, word))]
    if word.startswith(("hydra", "--")):
        return []
    raise UserError(f"{word}: expected keys with a value beside study.name, found another word: name the sweep as well")


def saved_names(folder: Path) -> Sequence[str]:
    """The studies in a folder that can be gone on with by their name."""
    return sorted(file.parent.name for file in folder.glob(f"*/{FILE}"))
