"""``saber.json``: what an export is, sha256 of its files and of its base's, and all that is needed to make it again."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import saber
from saber.config import Config
from saber.keys import with_values
from saber.lm.editing.checkpoint_files import checkpoint_files
from saber.lm.editing.packed import packing_of
from saber.publish.export.forms import Base
from saber.redaction import public_values
from saber.study.context import Workbench
from saber.study.store.records import metrics_to_json
from saber.types import EditPlan, Frontier, FrontierPoint, Metrics

OURS = "saber.json"  # the file by which a folder is known as one of our exports
PLAN_FILE = "plan.safetensors"
PACKAGES = ("torch", "transformers", "optuna", "safetensors")


def about_export(
    bench: Workbench,
    trial: Config,
    frontier: Frontier,
    point: FrontierPoint,
    plan: EditPlan,
    measured: Mapping[str, Metrics],
    base: Base,
) -> dict[str, Any]:
    """Everything needed to know what this export is and to make it again; not where its database is."""
    packing = packing_of(base.folder)
    about = {
        "study": frontier.study,
        "point": point.name,
        "trial": point.number,
        "params": dict(point.params),
        "plan": {
            "format": trial.export.format,
            "digest": plan.digest,
            "rounds": len(plan.rounds),
            "directions": [len(edit_round.directions) for edit_round in plan.rounds],
            "edited_layers": list(plan.edited_layers),
            "row_norm": plan.row_norm,
            "unit_rows": plan.unit_rows,
            **({"unpacked_from": packing} if packing and trial.export.format == "merged" else {}),
        },
        "protocol": {name: metrics.protocol for name, metrics in measured.items()},
        "metrics": {name: metrics_to_json(metrics) for name, metrics in measured.items()},
        "base": {
            "path": base.path,
            "revision": base.revision,
            "commit": base.commit,
            "weights": bench.model_digest,
            "dtype": str(bench.adapter.dtype).removeprefix("torch."),
        },
        "chat": bench.adapter.chat.described,
        "data": {name: split.digest for name, split in bench.splits.items()},
        "versions": {
            "saber-sweep": saber.__version__,
            **{name: version(name) for name in PACKAGES},
            "python": platform.python_version(),
        },
        "machine": platform.machine(),
        "config": dataclasses.asdict(with_values(trial, {"study.storage": None})),
    }
    return {key: public_values(value) for key, value in about.items()}


def file_digests(folder: Path) -> dict[str, str]:
    """By relative name, sha256 of every file of an export but the one that says them."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    names = {file.relative_to(folder).as_posix(): file for file in files}
    return {name: sha256(file) for name, file in names.items() if name != OURS}


def base_digests(folder: Path) -> dict[str, str]:
    """By relative name, sha256 of every file of a base that an export is made from or copies."""
    files = checkpoint_files(folder)
    return {file.as_posix(): sha256(folder / file) for file in sorted((*files.shards, *files.beside))}


def sha256(file: Path) -> str:
    """The digest of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
