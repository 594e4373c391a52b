"""From activations to a plan: directions, how they rank, and what is done with them where."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from saber.types.prompts import DIGEST_LENGTH
from saber.vocabulary import WRITER_KINDS

INPUTS = "input_readers."
UNIT_TOLERANCE = 1e-4  # how far the length of a "unit" vector may be from 1


@dataclass(frozen=True, eq=False)
class Activations:
    """Residual stream at the last prompt token, fp32, of a probe set; its borderline prompts where it has them.

    ``is_protected`` says which harmful prompts are of a protected category, ``is_refused`` which borderline ones the
    unedited model refuses.
    """

    harmful: Float[Tensor, "layer n_harmful d_model"]
    harmless: Float[Tensor, "layer n_harmless d_model"]
    capability: Float[Tensor, "layer n_capability d_model"]
    borderline: Float[Tensor, "layer n_borderline d_model"] | None = None
    is_refused: Bool[Tensor, " n_borderline"] | None = None
    is_protected: Bool[Tensor, " n_harmful"] | None = None

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks captured."""
        return int(self.harmful.shape[0])

    def first(self, n_probe: int, n_capability: int, n_borderline: int) -> Activations:
        """The activations of ``ProbeSet.first``."""
        return Activations(
            self.harmful[:, :n_probe],
            self.harmless[:, :n_probe],
            self.capability[:, :n_capability],
            None if self.borderline is None else self.borderline[:, :n_borderline],
            None if self.is_refused is None else self.is_refused[:n_borderline],
            None if self.is_protected is None else self.is_protected[:n_probe],
        )


@dataclass(frozen=True, eq=False)
class Direction:
    """A unit vector of the residual stream, found at ``layer`` as the ``index``-th of that layer.

    Its sign makes the harmful prompts' mean projection the larger one.
    """

    layer: int
    index: int
    vector: Float[Tensor, " d_model"]


@dataclass(frozen=True, eq=False)
class RankedDirection:
    """A direction with its separability (Fisher ratio) and its entanglement rho in [0, 1]."""

    direction: Direction
    fisher_ratio: float
    entanglement: float

    @property
    def score(self) -> float:
        """Fisher ratio times purity, the order in which directions are selected."""
        return self.fisher_ratio * (1.0 - self.entanglement)


@dataclass(frozen=True, eq=False)
class Round:
    """One round of edits: unit directions in the order of their score, and how strongly each acts where.

    ``strengths[i, l, k]`` scales direction ``i`` at the writers of layer ``l`` and kind ``WRITER_KINDS[k]``; 0 leaves
    that writer alone. ``strengths`` may cover fewer layers than the model has; the rest are not edited.
    ``readers[i, l]`` is what direction ``i`` is read with at layer ``l``, up to a mixture with the others that act
    there; without them a direction is read with itself, which is the orthogonal projection.
    ``input_readers`` are, by the `Writer.place` of every writer that is edited, what the orthonormalised directions
    that meet there are read with instead: K (rank, d_in), a function of what goes into the writer.
    """

    directions: Float[Tensor, "direction d_model"]
    strengths: Float[Tensor, "direction layer kind"]
    readers: Float[Tensor, "direction layer d_model"] | None = None
    input_readers: Mapping[str, Float[Tensor, "_ _"]] | None = None

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What it holds, by name; readers of inputs by ``input_readers.<place>``, in the order of their places."""
        held = {name: getattr(self, name) for name in ("directions", "strengths", "readers")}
        read = {f"{INPUTS}{place}": k for place, k in sorted((self.input_readers or {}).items())}
        return {name: tensor for name, tensor in held.items() if tensor is not None} | read

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Round:
        """The inverse of `tensors`."""
        read = {name.removeprefix(INPUTS): k for name, k in tensors.items() if name.startswith(INPUTS)}
        return cls(tensors["directions"], tensors["strengths"], tensors.get("readers"), read or None)


@dataclass(frozen=True, eq=False)
class EditPlan:
    """Everything that an edit is, independent of the model object: rounds that compose in order.

    ``row_norm`` rescales each output row of every edited writer to the norm it had before (Lai 2025). With
    ``unit_rows`` too the directions are taken out of the weight with its rows at unit length, as Heretic does.

    Raises:
        ValueError: ``unit_rows`` without ``row_norm``.
    """

    rounds: tuple[Round, ...]
    row_norm: bool = False
    source: Mapping[str, object] = field(default_factory=dict)
    unit_rows: bool = False

    def __post_init__(self) -> None:
        if self.unit_rows and not self.row_norm:
            raise ValueError("expected row norms to be kept where directions are taken out of unit rows")

    @classmethod
    def from_directions(
        cls,
        directions: Mapping[int, tuple[Float[Tensor, "d_model k"], Float[Tensor, " k"]]],
        *,
        row_norm: bool = False,
    ) -> EditPlan:
        """Build a one-round plan ``{layer: (R, alpha)}`` acting on every writer of those layers.

        R (d_model, k) has unit columns and alpha (k,) their strengths.

        Raises:
            ValueError: a column is not of unit length, or the shapes of R and alpha disagree.
        """
        if not directions:
            return cls(rounds=(), row_norm=row_norm)
        rows: list[Tensor] = []
        places: list[tuple[int, Tensor]] = []
        for layer, (vectors, alpha) in sorted(directions.items()):
            vectors, alpha = vectors.float(), alpha.float()
            if layer < 0 or vectors.ndim != 2 or alpha.shape != vectors.shape[1:]:
                raise ValueError(
                    f"expected a layer >= 0, R (d_model, k) and alpha (k,), found layer {layer},"
                    f" {tuple(vectors.shape)} and {tuple(alpha.shape)}"
                )
            if not torch.allclose(vectors.norm(dim=0), torch.ones(len(alpha)), atol=UNIT_TOLERANCE):
                raise ValueError(f"expected unit columns at layer {layer}: normalise R first")
            rows += list(vectors.T)
            places += [(layer, a) for a in alpha]
        strengths = torch.zeros(len(rows), max(directions) + 1, len(WRITER_KINDS))
        for i, (layer, a) in enumerate(places):
            strengths[i, layer, :] = a
        return cls(rounds=(Round(torch.stack(rows), strengths),), row_norm=row_norm)

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits of what the edit does (not of ``source``, which only says where it came from)."""
        unit = " unit_rows" if self.unit_rows else ""
        sha = hashlib.sha256(f"plan/1 row_norm={self.row_norm}{unit}".encode())
        for edit_round in self.rounds:
            for name, tensor in edit_round.tensors.items():
                if name.startswith(INPUTS):
                    sha.update(name.encode())
                sha.update(str(tuple(tensor.shape)).encode())
                sha.update(tensor.detach().float().contiguous().cpu().numpy().tobytes())
        return sha.hexdigest()[:DIGEST_LENGTH]

    @property
    def edited_layers(self) -> tuple[int, ...]:
        """Layers with at least one non-zero strength in any round, ascending."""
        layers: set[int] = set()
        for edit_round in self.rounds:
            layers |= set(torch.nonzero(edit_round.strengths.abs().sum(dim=(0, 2))).flatten().tolist())
        return tuple(sorted(layers))
