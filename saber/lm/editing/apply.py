"""The editing kernel: one pass carries T edited models, and baking writes the same edit into the weights.

A hook sees what goes into a writer and what comes out of it; most edits need the output alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.architecture.capture import first_of, input_of
from saber.lm.editing.compiled import CompiledPlan, compile_plan
from saber.lm.editing.low_rank import WriterEdit
from saber.types import EditPlan


class TrialEdits:
    """The edits of T trials at one writer, stacked: U diag(a) and V are (trial, d_model, rank), padded with a = 0.

    What reads the input has its V among ``k`` (trial, d_in, rank), and zeros in ``v``. Rows come trial by trial; where
    experts put out their own rows, expert by expert and within each trial by trial.
    """

    def __init__(self, edits: Sequence[WriterEdit | None], writer: Writer, d_model: int) -> None:
        device = writer.device
        self.n_expert_groups = writer.n_expert_groups
        ranks = [0 if edit is None else edit.u.shape[1] for edit in edits]
        self.ua = torch.zeros(len(edits), d_model, max(ranks), device=device)
        self.v = torch.zeros_like(self.ua)
        self.reads_input = any(edit is not None and edit.reads_input for edit in edits)
        self.k = torch.zeros(len(edits), writer.d_in if self.reads_input else 0, max(ranks), device=device)
        self.scale: Tensor | None = None
        for t, edit in enumerate(edits):
            if edit is None:
                continue
            self.ua[t, :, : ranks[t]] = edit.u * edit.a
            (self.k if edit.reads_input else self.v)[t, :, : ranks[t]] = edit.v
            if edit.scale is not None:
                if self.scale is None:
                    self.scale = torch.ones(len(edits), 1, d_model, device=device)
                self.scale[t, 0] = edit.scale
        self.uat = self.ua.transpose(1, 2).contiguous()

    def __call__(
        self, y: Float[Tensor, "batch *token d_model"], x: Float[Tensor, "batch *token d_in"] | None = None
    ) -> Float[Tensor, "batch *token d_model"]:
        """Y <- s * (y - U diag(a) V^T z), rows in T equal groups, in fp32 whatever y is."""
        n_trials = len(self.v)
        by_expert = y.reshape(self.n_expert_groups, n_trials, -1, y.shape[-1])
        grouped = by_expert.transpose(0, 1).reshape(n_trials, -1, y.shape[-1]).float()
        read = torch.bmm(grouped, self.v)
        if self.reads_input and x is not None:
            read = read + torch.bmm(x.reshape(n_trials, -1, x.shape[-1]).float(), self.k)
        edited = torch.baddbmm(grouped, read, self.uat, alpha=-1.0)
        if self.scale is not None:
            edited = edited * self.scale
        by_trial = edited.to(y.dtype).view(n_trials, self.n_expert_groups, -1, y.shape[-1])
        return by_trial.transpose(0, 1).reshape(y.shape)


class LowRankEdit:
    """The edit of one trial at one writer, for rows in any order: two thin products."""

    def __init__(self, edit: WriterEdit) -> None:
        self.uat = (edit.u * edit.a).T.contiguous()
        self.vt = edit.v.T.contiguous()  # rank first: a thin product is several times faster so
        self.scale = edit.scale
        self.reads_input = edit.reads_input

    def __call__(
        self, y: Float[Tensor, "batch *token d_model"], x: Float[Tensor, "batch *token d_in"] | None = None
    ) -> Float[Tensor, "batch *token d_model"]:
        """Y <- s * (y - U diag(a) V^T z), in fp32 whatever y is."""
        rows = y.reshape(-1, y.shape[-1]).float()
        read = x.reshape(-1, x.shape[-1]).float() if self.reads_input and x is not None else rows
        edited = torch.addmm(rows, linear(read, self.vt), self.uat, alpha=-1.0)
        if self.scale is not None:
            edited = edited * self.scale
        return edited.to(y.dtype).view(y.shape)


class DenseEdit:
    """The same as one matrix S (I - U diag(a) V^T), which is less work where the rank is half the width or more."""

    def __init__(self, edit: WriterEdit) -> None:
        self.matrix = edit.on_columns(torch.eye(len(edit.u), device=edit.u.device))

    reads_input = False

    def __call__(
        self, y: Float[Tensor, "batch *token d_model"], _x: Tensor | None = None
    ) -> Float[Tensor, "batch *token d_model"]:
        """Y <- S (I - U diag(a) V^T) y, in fp32 whatever y is."""
        return linear(y.float(), self.matrix).to(y.dtype)


def edit_of_output(
    edits: Sequence[WriterEdit | None], writer: Writer, d_model: int
) -> TrialEdits | LowRankEdit | DenseEdit:
    """What does the edits of T trials to a writer's output; one trial alone needs no axis of trials."""
    alone = edits[0] if len(edits) == 1 else None
    if alone is None:
        return TrialEdits(edits, writer, d_model)
    is_dense = not alone.reads_input and 2 * alone.u.shape[1] >= d_model
    return DenseEdit(alone) if is_dense else LowRankEdit(alone)


@contextmanager
def applied(adapter: Adapter, plans: Sequence[EditPlan | CompiledPlan]) -> Iterator[Adapter]:
    """Edit the model virtually while inside: rows [t n, (t + 1) n) of any batch see ``plans[t]``.

    The weights are never touched. The hooks are gone on the way out, whatever happened inside.

    Raises:
        ValueError: a plan names a layer that the model does not have, or a batch does not divide into T groups.
    """
    with ExitStack() as hooks:
        if len(plans) > 1:
            embedding = adapter.model.get_input_embeddings()
            hooks.callback(embedding.register_forward_hook(_check_batch(len(plans))).remove)
        for writer, edits in edits_by_writer(adapter, plans):
            edit = edit_of_output(edits, writer, adapter.d_model)
            hook = _edit_of_both(edit) if edit.reads_input else _edit_output(edit)
            hooks.callback(writer.module.register_forward_hook(hook, with_kwargs=edit.reads_input).remove)
        yield adapter


def edits_by_writer(
    adapter: Adapter, plans: Sequence[EditPlan | CompiledPlan]
) -> Iterator[tuple[Writer, list[WriterEdit | None]]]:
    """The compiled edits of each writer that at least one plan edits."""
    compiled = [plan if isinstance(plan, CompiledPlan) else compile_plan(adapter, plan) for plan in plans]
    for i, writer in enumerate(adapter.writers):
        edits = [own_plan.edits[i] for own_plan in compiled]
        if any(edit is not None for edit in edits):
            yield writer, edits


def _check_batch(n_trials: int) -> Any:
    """Where prompts enter: further in, experts see rows of tokens, whose number may divide when the batch does not."""

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        if output.shape[0] % n_trials:
            raise ValueError(f"expected a batch divisible by {n_trials} trials, found {output.shape[0]} rows")

    return hook


def _edit_output(edit: Callable[[Tensor], Tensor]) -> Any:
    def hook(_module: nn.Module, _inputs: object, output: Any) -> Any:
        return _instead(output, edit(first_of(output)))

    return hook


def _edit_of_both(edit: Callable[[Tensor, Tensor], Tensor]) -> Any:
    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        return _instead(output, edit(first_of(output), input_of(args, kwargs)))

    return hook


def _instead(output: Any, edited: Tensor) -> Any:
    """What a module put out, with its hidden states edited."""
    return (edited, *output[1:]) if isinstance(output, tuple) else edited


@torch.no_grad()
def bake(adapter: Adapter, plan: EditPlan) -> None:
    """Write the plan into the weights and biases of every writer it edits, in place, in fp32 before rounding.

    Raises:
        UserError: a weight is quantised.
    """
    for writer, (edit,) in edits_by_writer(adapter, [plan]):
        if edit is not None:
            for columns in writer.columns():
                edit.write_into(columns)
            bias = writer.bias_columns()
            if bias is not None:
                edit.write_into_bias(bias)
