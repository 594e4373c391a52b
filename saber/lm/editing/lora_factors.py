"""The low-rank factors of an edit: W + B A is the baked weight, whatever form the adapter that carries them has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.architecture.writer_rows import weight_columns
from saber.lm.editing.apply import edit_of_output, edits_by_writer
from saber.lm.editing.low_rank import WriterEdit
from saber.types import EditPlan, UserError

COLUMNS_AT_ONCE = 1024  # of a packed weight: what is read of it by asking its module
N_INPUTS = 16
PACKED_TOLERANCE = 0.05  # what computing in half precision may do


@dataclass(frozen=True, eq=False)
class LoraFactors:
    """A (rank, d_in) and B (d_model, rank) in fp32 on the CPU, with a leading axis of experts where they are fused.

    ``bias`` is what is added to the writer's bias, ``None`` where it has none or where it stays as it is.
    """

    a: Float[Tensor, "*expert rank d_in"]
    b: Float[Tensor, "*expert d_model rank"]
    bias: Float[Tensor, "*expert d_model"] | None

    @property
    def rank(self) -> int:
        """How many directions the edit has."""
        return int(self.a.shape[-2])


def lora_edits(adapter: Adapter, plan: EditPlan) -> list[tuple[Writer, WriterEdit]]:
    """The writers that a plan edits, each with its edit.

    Raises:
        UserError: the plan edits nothing, or keeps row norms.
    """
    if plan.row_norm:
        raise UserError(no_adapter("a plan without row norms", "one that keeps them: it is not of low rank"))
    edits = [(writer, edit) for writer, (edit,) in edits_by_writer(adapter, [plan]) if edit is not None]
    if not edits:
        raise UserError("expected a plan that edits a writer, found one that edits none: there is no adapter of it")
    return edits


def no_adapter(expected: str, there: str) -> str:
    """One line on why a plan has no adapter, and what it has."""
    return f"expected {expected} to export as an adapter, found {there}; export the merged form: export.format=merged"


@torch.no_grad()
def lora_factors(writer: Writer, edit: WriterEdit) -> LoraFactors:
    """The factors of an edit without a scale: B = -U diag(a), A = V^T W, and -U diag(a) V^T b of a bias b.

    Where inputs are read A = K, which needs nothing of the weight, and a bias stays as it is.

    A packed weight is read by asking its module what it makes of unit inputs, which is what it computes with.
    """
    precise = edit.double()  # so that the same plan gives the same bytes whatever the number of threads
    if edit.reads_input:
        read = precise.v.T
    elif writer.fused:
        matrices = weight_columns(writer.weight, writer.layout)
        read = torch.stack([precise.v.T @ matrix.double() for matrix in matrices])
    elif writer.in_full:
        read = precise.v.T @ weight_columns(writer.weight, writer.layout)[0].double()
    else:
        read = _read_packed(writer, precise.v)
    b = -precise.u * precise.a
    bias = None if writer.bias is None or edit.reads_input else (writer.bias.double() @ precise.v) @ b.T
    written = b.expand(len(read), *b.shape) if writer.fused else b
    return LoraFactors(_stored(read), _stored(written), None if bias is None else _stored(bias))


@torch.no_grad()
def merge_factors(adapter: Adapter, factors: Mapping[str, LoraFactors]) -> None:
    """Add factors to the weights in place: W + B A, for each expert where they are fused, and the bias to the bias.

    Raises:
        UserError: a weight is packed.
    """
    for writer in adapter.writers:
        factor = factors.get(writer.name)
        if factor is None:
            continue
        update = (factor.b @ factor.a).to(writer.device)
        matrices = update if writer.fused else update.unsqueeze(0)
        for columns, matrix in zip(writer.columns(), matrices, strict=True):
            columns.copy_(columns.float() + matrix)
        if factor.bias is not None and writer.bias is not None:
            writer.bias.copy_(writer.bias.float() + factor.bias.to(writer.device))


@torch.no_grad()
def check_factors(adapter: Adapter, plan: EditPlan, factors: Mapping[str, LoraFactors]) -> None:
    """Ask every edited writer for random inputs, packed or not: B A x must be what the edit does to its output.

    Raises:
        UserError: it is not, or an edited writer has no factors.
    """
    generator = torch.Generator().manual_seed(0)
    for writer, edit in lora_edits(adapter, plan):
        factor = factors.get(writer.name)
        apart = 1.0 if factor is None else _apart(writer, edit, factor, adapter.d_model, generator)
        if not apart <= PACKED_TOLERANCE:
            raise UserError(f"expected factors that do what the edit does at {writer.name}, found {apart:.1%} apart")


def _apart(writer: Writer, edit: WriterEdit, factor: LoraFactors, d_model: int, generator: torch.Generator) -> float:
    x = torch.randn(N_INPUTS, factor.a.shape[-1], generator=generator)
    y = writer.module(x.to(writer.device, _dtype_of_inputs(writer))).float()
    expected = (edit_of_output([edit], writer, d_model)(y, x.to(writer.device)) - y).cpu()
    merged = x @ factor.a.T @ factor.b.T + (0.0 if factor.bias is None else factor.bias)
    return float((merged - expected).norm() / expected.norm().clamp(min=1e-30))


def _stored(tensor: Tensor) -> Tensor:
    return tensor.float().cpu().contiguous()


def _read_packed(writer: Writer, v: Float[Tensor, "d_model rank"]) -> Float[Tensor, "rank d_in"]:
    """V^T W of a linear map that keeps its weight packed: V^T (f(e_j) - f(0)) for every unit input e_j."""
    d_in: int = getattr(writer.module, "in_features")  # noqa: B009 - a Linear of another package
    bias = writer.bias
    blocks: list[Tensor] = []
    for start in range(0, d_in, COLUMNS_AT_ONCE):
        n = min(COLUMNS_AT_ONCE, d_in - start)
        units = torch.zeros(n, d_in, device=writer.device, dtype=_dtype_of_inputs(writer))
        units[torch.arange(n), start + torch.arange(n)] = 1
        columns = writer.module(units).double()
        blocks.append((columns if bias is None else columns - bias.double()) @ v)
    return torch.cat(blocks).T


def _dtype_of_inputs(writer: Writer) -> torch.dtype:
    """What the packed module computes in: its own word, or its bias's, or fp32."""
    for said in (getattr(writer.module, "compute_dtype", None), None if writer.bias is None else writer.bias.dtype):
        if isinstance(said, torch.dtype):
            return said
    return torch.float32
