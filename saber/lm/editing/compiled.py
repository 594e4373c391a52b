"""A plan compiled for one model: what it does at each writer, so that no round of it is compiled twice."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.low_rank import WriterEdit, compile_low_rank, with_row_norms
from saber.types import EditPlan


@dataclass(frozen=True, eq=False)
class CompiledPlan:
    """A plan with its edit of each writer, in the order of ``adapter.writers``; ``None`` where it does nothing.

    ``low_rank`` are the composed rounds alone, from which more rounds go on; ``edits`` keep row norms where asked.
    """

    plan: EditPlan
    low_rank: tuple[WriterEdit | None, ...]
    edits: tuple[WriterEdit | None, ...]

    @property
    def edited_layers(self) -> tuple[int, ...]:
        """Layers that the plan edits, ascending."""
        return self.plan.edited_layers

    def bare(self) -> CompiledPlan:
        """The plan without its edits, which are large: all that is kept of a trial."""
        return CompiledPlan(self.plan, (), ())


@torch.no_grad()
def compile_plan(adapter: Adapter, plan: EditPlan, begun: CompiledPlan | None = None) -> CompiledPlan:
    """Compile a plan, going on from ``begun`` where its rounds are the first ones of this plan.

    Raises:
        ValueError: the plan names a layer that the model does not have: it would be applied in part, silently.
        UserError: row norms are to be kept of fused experts, or of a quantised weight.
    """
    check_layers(adapter, plan)
    n_begun = 0
    known: tuple[WriterEdit | None, ...] = (None,) * len(adapter.writers)
    if begun is not None and begun.plan.rounds == plan.rounds[: len(begun.plan.rounds)]:
        n_begun, known = len(begun.plan.rounds), begun.low_rank
    low_rank = tuple(
        compile_low_rank(plan, writer, edit, n_begun) for writer, edit in zip(adapter.writers, known, strict=True)
    )
    if not plan.row_norm:
        return CompiledPlan(plan, low_rank, low_rank)
    edits = tuple(
        None if edit is None else with_row_norms(plan, edit, writer.columns()[0])
        for writer, edit in zip(adapter.writers, low_rank, strict=True)
    )
    return CompiledPlan(plan, low_rank, edits)


def check_layers(adapter: Adapter, plan: EditPlan) -> None:
    """Refuse a plan made for another model."""
    for edit_round in plan.rounds:
        if edit_round.directions.shape[1] != adapter.d_model or max(plan.edited_layers, default=0) >= adapter.n_layers:
            raise ValueError(
                f"expected a plan for {adapter.n_layers} layers of width {adapter.d_model}, found layers"
                f" {plan.edited_layers} of width {edit_round.directions.shape[1]}"
            )
