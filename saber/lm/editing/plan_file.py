"""A plan as a file: safetensors with its digest, so that a trial can be applied or baked without its study."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from saber.cache import DAMAGE, write_tensors
from saber.types import EditPlan, Round, UserError


def save_plan(plan: EditPlan, path: Path) -> None:
    """Write a plan atomically."""
    tensors: dict[str, Tensor] = {}
    for i, edit_round in enumerate(plan.rounds):
        tensors |= {f"{i}.{name}": tensor for name, tensor in edit_round.tensors.items()}
    about = {"n_rounds": len(plan.rounds), "row_norm": plan.row_norm, "source": dict(plan.source)}
    if plan.unit_rows:
        about["unit_rows"] = True
    write_tensors(path, tensors, {"plan": json.dumps(about), "digest": plan.digest})


def load_plan(path: Path, digest: str | None = None) -> EditPlan:
    """Read a plan and check that it is whole, and the one with ``digest`` if that is given.

    Raises:
        UserError: the file is missing, is no plan, or does not have the digest it was written with or asked for by.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            about = json.loads(metadata["plan"])
            wanted = digest if digest is not None else metadata["digest"]
            names = list(file.keys())
            rounds = tuple(
                Round.from_tensors(
                    {n.removeprefix(f"{i}."): file.get_tensor(n) for n in names if n.startswith(f"{i}.")}
                )
                for i in range(about["n_rounds"])
            )
        plan = EditPlan(rounds, about["row_norm"], dict(about["source"]), unit_rows="unit_rows" in about)
        digest_there = plan.digest
    except (OSError, *DAMAGE) as error:
        raise UserError(f"expected a plan in {path}, found: {error or type(error).__name__}") from error
    if digest_there != wanted:
        raise UserError(f"expected plan {wanted} in {path}, found {digest_there}: the file is damaged")
    return plan
