"""What a plan does at one writer: y <- s * (y - U diag(a) K x), the one form that is applied and baked.

x is the writer's input, y = W x + b its output. Most edits read the output, K x = V^T y, which takes V^T W for K and
edits the bias too; others read the input and leave the bias as it is. Fused experts have inputs of their own each, and
only the sum of their outputs is seen: they are always read by that.

Without a norm behind the writer, U = V = Q, the orthonormalised directions that meet there. Behind a gain w the stream
receives w * y / rms(y), so r is gone iff (w * r)^T y = 0: V = w * Q, and U is any D with V^T D = I. We take

    A = (w * Q) / (w^2 + (lambda median|w|)^2),   D = A (V^T A)^-1

which keeps the direction of the rest where w is not small, and stays bounded where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from saber.lm.architecture.adapter import Writer
from saber.types import WRITER_KINDS, EditPlan, Round, UserError

GAIN_RIDGE = 0.2  # lambda: flat between .1 and .3 over four families with sandwich norms
COLUMNS_AT_ONCE = 256  # of a weight that is edited: bounds the wide copies, and costs little at this width
DEPENDENT = 1e-3  # a direction with less than this outside those before it adds nothing but rounding


@dataclass(frozen=True, eq=False)
class WriterEdit:
    """y <- s * (y - U diag(a) V^T z), fp32: z is the writer's output y, or its input x where ``reads_input``.

    ``scale`` s is 1 where it is ``None``.
    """

    u: Float[Tensor, "d_model rank"]
    a: Float[Tensor, " rank"]
    v: Float[Tensor, "d_read rank"]
    scale: Float[Tensor, " d_model"] | None = None
    reads_input: bool = False

    @property
    def edits_bias(self) -> bool:
        """Whether a bias of the writer changes with its weight."""
        return not self.reads_input or self.scale is not None

    def then(self, later: WriterEdit) -> WriterEdit:
        """Compose two edits without scales exactly.

        Of outputs M_2 M_1 = I - [M_2 U_1, U_2] diag(a_1, a_2) [V_1, V_2]^T; what reads the input reads it unedited.

        Raises:
            ValueError: one reads the input and the other the output.
        """
        if self.reads_input != later.reads_input:
            raise ValueError("expected rounds that all read inputs or all outputs at a writer, found both")
        moved = self.u
        if not self.reads_input:
            moved = self.u - later.u @ (later.a.unsqueeze(1) * (later.v.T @ self.u))
        return WriterEdit(
            torch.cat([moved, later.u], dim=1),
            torch.cat([self.a, later.a]),
            torch.cat([self.v, later.v], dim=1),
            reads_input=self.reads_input,
        )

    def on_columns(self, w: Float[Tensor, "d_model n"], first: int = 0) -> Float[Tensor, "d_model n"]:
        """Apply the edit to columns of the weight, the ``first`` one of which is given by its number."""
        read = self.v[first : first + w.shape[1]].T if self.reads_input else self.v.T @ w
        edited = w - self.u @ (self.a.unsqueeze(1) * read)
        return edited if self.scale is None else self.scale.unsqueeze(1) * edited

    def on_bias(self, b: Float[Tensor, "d_model n"]) -> Float[Tensor, "d_model n"]:
        """Apply the edit to a bias as one column, or to those of all experts."""
        if not self.reads_input:
            return self.on_columns(b)
        return b if self.scale is None else self.scale.unsqueeze(1) * b

    def write_into(self, weight: Float[Tensor, "d_model n"]) -> None:
        """Edit a weight in place, in the edit's own dtype before rounding, a block of columns at a time."""
        for first in range(0, weight.shape[1], COLUMNS_AT_ONCE):
            block = weight[:, first : first + COLUMNS_AT_ONCE]
            block.copy_(self.on_columns(block.to(self.u.dtype), first))

    def write_into_bias(self, bias: Float[Tensor, "d_model n"]) -> None:
        """Edit a bias in place, in the edit's own dtype before rounding."""
        bias.copy_(self.on_bias(bias.to(self.u.dtype)))

    def double(self) -> WriterEdit:
        """The same edit in float64, in which it rounds alike however the products are split among threads."""
        scale = None if self.scale is None else self.scale.double()
        return replace(self, u=self.u.double(), a=self.a.double(), v=self.v.double(), scale=scale)

    def keeping_row_norms(self, weight: Float[Tensor, "d_model n"], before: Float[Tensor, " d_model"]) -> WriterEdit:
        """The same edit with the scale s_i = |W_i| / |W'_i| of a weight W, 1 for a row that is zero before or after."""
        after = row_norms(weight, self)
        kept = (before > 0) & (after > 0)
        return replace(self, scale=torch.where(kept, before / torch.where(kept, after, 1.0), 1.0))

    def on_unit_rows(self, before: Float[Tensor, " d_model"]) -> WriterEdit:
        """The same edit of D^-1 W, D = diag |W_i|, in place of W: D (I - U diag(a) V^T) D^-1; a zero row stays zero.

        Raises:
            UserError: it reads the input, whose component in unit rows is another one.
        """
        if self.reads_input:
            raise UserError("expected edit.norm_preserve=none or row with edit.reader=inputs, found unit_row")
        norms = before.unsqueeze(1)
        return WriterEdit(norms * self.u, self.a, torch.where(norms > 0, self.v / norms, 0.0))


def row_norms(weight: Float[Tensor, "d_model n"], edit: WriterEdit | None = None) -> Float[Tensor, " d_model"]:
    """The length of every row of a weight, as it is or edited, a block of columns at a time."""
    squares = torch.zeros(len(weight), device=weight.device)
    for first in range(0, weight.shape[1], COLUMNS_AT_ONCE):
        block = weight[:, first : first + COLUMNS_AT_ONCE].float()
        squares += (block if edit is None else edit.on_columns(block, first)).square().sum(dim=1)
    return squares.sqrt()


def with_row_norms(plan: EditPlan, edit: WriterEdit, weight: Float[Tensor, "d_model n"]) -> WriterEdit:
    """The edit of a plan that keeps the row norms of this weight."""
    before = row_norms(weight)
    return (edit.on_unit_rows(before) if plan.unit_rows else edit).keeping_row_norms(weight, before)


@torch.no_grad()
def compile_low_rank(
    plan: EditPlan, writer: Writer, begun: WriterEdit | None = None, n_begun: int = 0
) -> WriterEdit | None:
    """The rounds of a plan at this writer, composed; row norms, which need the weight, are left to the caller.

    ``begun`` is what the first ``n_begun`` rounds do, where that is known already.

    Raises:
        UserError: row norms are to be kept of fused experts: each would need a scale of its own, which no edit of
            their summed output can be.
    """
    edit = begun
    for edit_round in plan.rounds[n_begun:]:
        step = _compile_round(edit_round, writer)
        if step is not None:
            edit = step if edit is None else edit.then(step)
    if edit is not None and plan.row_norm and writer.fused:
        raise UserError(
            f"expected no row norms to keep at {writer.name}, found fused experts: set edit.norm_preserve=none"
        )
    return edit


def _compile_round(edit_round: Round, writer: Writer) -> WriterEdit | None:
    """The directions of one round that meet at this writer, read with themselves, with readers, or of the input."""
    edit = meeting_at(edit_round, writer)
    if edit is None or edit_round.input_readers is None:
        return edit
    k = edit_round.input_readers.get(writer.place)
    width = len(edit.v) if writer.fused else writer.d_in
    if k is None or k.shape != (edit.u.shape[1], width):
        there = "none" if k is None else f"one of {tuple(k.shape)}"
        raise ValueError(
            f"expected a reader of {(edit.u.shape[1], width)} at {writer.name}, found {there}: a plan of another model"
        )
    return WriterEdit(edit.u, edit.a, k.float().T.to(writer.device), reads_input=not writer.fused)


def meeting_at(edit_round: Round, writer: Writer) -> WriterEdit | None:
    """The directions of a round that act here, orthonormalised in the order of their score, read of the output."""
    if writer.layer >= edit_round.strengths.shape[1]:
        return None
    strengths = edit_round.strengths[:, writer.layer, WRITER_KINDS.index(writer.kind)]
    meeting = torch.nonzero(strengths).flatten()
    if len(meeting) == 0:
        return None
    q, kept = orthonormalise(edit_round.directions[meeting].float())
    p = q if edit_round.readers is None else _dual(q, edit_round.readers[meeting[kept], writer.layer])
    q, p, a = q.to(writer.device), p.to(writer.device), strengths[meeting][kept].float().to(writer.device)
    if writer.gain is None:
        return WriterEdit(q, a, p)
    return WriterEdit(*_behind_gain(q, p, a, writer.gain.to(writer.device)))


def orthonormalise(
    directions: Float[Tensor, "n d_model"],
) -> tuple[Float[Tensor, "d_model kept"], Float[Tensor, " kept"]]:
    """Gram-Schmidt in order, float64: orthonormal columns, and the indices of the directions that added one.

    Where all do it is the QR factorisation with a positive diagonal, which is one call.
    """
    columns = directions.double().T
    if columns.shape[1] <= columns.shape[0]:
        q, r = torch.linalg.qr(columns)
        rest = torch.diagonal(r)
        if float(rest.abs().min()) > DEPENDENT:
            return (q * rest.sign()).float(), torch.arange(columns.shape[1])
    return _gram_schmidt(columns)


def _gram_schmidt(columns: Float[Tensor, "d_model n"]) -> tuple[Float[Tensor, "d_model kept"], Float[Tensor, " kept"]]:
    """The same one by one, leaving out what depends on those before it."""
    basis = columns[:, :0]
    kept: list[int] = []
    for i, direction in enumerate(columns.T):
        rest = direction
        for _ in range(2):  # the second pass removes what rounding left of the first
            rest = rest - basis @ (basis.T @ rest)
        if rest.norm() > DEPENDENT:
            basis = torch.cat([basis, (rest / rest.norm()).unsqueeze(1)], dim=1)
            kept.append(i)
    return basis.float(), torch.tensor(kept)


def _dual(q: Float[Tensor, "d_model rank"], readers: Float[Tensor, "rank d_model"]) -> Float[Tensor, "d_model rank"]:
    """P = Z (Q^T Z)^-1: the mixtures of readers Z with P^T Q = I."""
    z = readers.double().T
    return torch.linalg.solve((q.double().T @ z).T, z.T).T.float()


def _behind_gain(
    q: Float[Tensor, "d_model rank"],
    p: Float[Tensor, "d_model rank"],
    a: Float[Tensor, " rank"],
    gain: Float[Tensor, " d_model"],
) -> tuple[Tensor, Tensor, Tensor]:
    """(U, a, V) behind an elementwise gain; solved in float64, as V^T A can be badly scaled."""
    w = gain.double().unsqueeze(1)
    v = w * p.double()
    ridge = (GAIN_RIDGE * w.abs().median()) ** 2
    regular = w * q.double() / (w.square() + ridge)
    u = torch.linalg.solve((v.T @ regular).T, regular.T).T
    return u.float(), a, v.float()
