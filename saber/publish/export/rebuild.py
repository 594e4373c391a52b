"""Make an export again from what its ``saber.json`` says, and compare every file by sha256."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saber.keys import parse_config
from saber.lm.editing.checkpoint_files import checkpoint_folder
from saber.lm.editing.plan_file import load_plan
from saber.lm.loading.load import load_as, quiet
from saber.publish.export.forms import Base, write_form
from saber.publish.export.provenance import OURS, PLAN_FILE, base_digests, file_digests
from saber.types import UserError

# Measured, not made from the base and the plan: they are compared with what the export said of them only.
NOT_REBUILT = (PLAN_FILE, "README.md", "front.svg")


@dataclass(frozen=True)
class Rebuilt:
    """What became of each file: it is as it was written, and made again it is the same.

    ``base`` says of each file of the base whether it is the one that the export was made from.
    """

    kept: dict[str, bool]
    again: dict[str, bool]
    base: dict[str, bool]

    @property
    def agrees(self) -> bool:
        """Whether everything that was compared agrees."""
        return all([*self.kept.values(), *self.again.values(), *self.base.values()])


def rebuild(folder: Path, base: str | None = None) -> Rebuilt:
    """Make an export again beside itself, in a folder that is gone afterwards.

    ``base`` is where the base lies now, if not where it was.

    Raises:
        UserError: the folder is no export of ours or its plan is damaged, or the base is not to be had.
    """
    quiet()
    about = read_about(folder)
    plan = load_plan(folder / PLAN_FILE, about["plan"]["digest"])
    config = parse_config(about["config"])
    source = _base(about, base)
    on_disk, said = file_digests(folder), about["files"]
    now = {} if not about["base"]["files"] else base_digests(source.folder)
    with tempfile.TemporaryDirectory(dir=folder.absolute().parent, prefix=f".{folder.name}.again.") as scratch:
        written = Path(scratch)
        form = config.export.format
        adapter = None if form == "merged" else load_as(config.model, str(source.folder), dtype=about["base"]["dtype"])
        write_form(form, adapter, plan, source, config, written)
        again = file_digests(written)
    return Rebuilt(
        kept={name: on_disk.get(name) == digest for name, digest in said.items()},
        again={name: again.get(name) == digest for name, digest in said.items() if name not in NOT_REBUILT},
        base={name: now.get(name) == digest for name, digest in about["base"]["files"].items()},
    )


def read_about(folder: Path) -> dict[str, Any]:
    """What an export says of itself.

    Raises:
        UserError: it is none of ours, or of a version that did not say enough.
    """
    try:
        about: dict[str, Any] = json.loads((folder / OURS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"expected an export of ours in {folder}, found no {OURS} that can be read: {error}") from error
    if not {"files", "base", "plan", "config"} <= about.keys() or "files" not in about["base"]:
        raise UserError(f"expected the digests of files in {folder / OURS}, found none: export the point again")
    return about


def _base(about: dict[str, Any], given: str | None) -> Base:
    """The base as it was asked for, or where it lies now."""
    path = given or about["base"]["path"]
    revision = None if given else about["base"]["commit"] or about["base"]["revision"]
    return Base(checkpoint_folder(path, revision), about["base"]["path"], revision)
