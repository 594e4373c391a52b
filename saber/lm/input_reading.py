"""Readers of inputs for the rounds of a plan: each trial solves small systems over what was captured once."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from saber.config import EditConfig
from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.editing.low_rank import meeting_at
from saber.lm.inference.writer_inputs import read_width
from saber.method.input_regression import Population, Regression, best_weights, input_readers
from saber.method.populations import N_POPULATIONS, Populations, populations
from saber.types import LookedAt, ProbeSet, Round, WriterInputs

KEPT = 2  # selections of probes whose sums are remembered: a study that searches their number works with several


@dataclass(frozen=True, eq=False)
class InputReading:
    """What was captured of a model's writers, the probes' labels, and sums that several trials need, kept as found.

    ``is_steady`` says that all trials read the same rows with the same weights.
    """

    captured: WriterInputs
    is_protected: Bool[Tensor, " harmful"]
    is_refused: Bool[Tensor, " borderline"]
    is_steady: bool = False
    products: dict[str, Tensor] = field(default_factory=dict)
    regressions: dict[Hashable, dict[str, Regression]] = field(default_factory=dict)

    @classmethod
    def of(cls, captured: WriterInputs, probes: ProbeSet, *, is_steady: bool = False) -> InputReading:
        """The readings of a probe set."""
        is_protected = torch.tensor(probes.is_protected, dtype=torch.bool)
        return cls(captured, is_protected, torch.tensor(probes.is_refused, dtype=torch.bool), is_steady)

    def over(self, captured: WriterInputs) -> InputReading:
        """The same probes as another model sees them."""
        return InputReading(captured, self.is_protected, self.is_refused)

    def with_readers(self, adapter: Adapter, placed: Round, edit: EditConfig, sizes: tuple[int, int, int]) -> Round:
        """The round with readers of inputs at every writer where it acts.

        Raises:
            ValueError: the probes hold none that refusal may be taken from.
        """
        chosen = self._populations(edit, sizes)
        key = (sizes, edit.contrast, edit.spares, edit.protects, edit.inputs.replies)
        regressions = self._remembered(key)
        readers: dict[str, Tensor] = {}
        for writer in adapter.writers:
            meeting = meeting_at(placed, writer)
            if meeting is None:
                continue
            if writer.place not in regressions:
                regressions[writer.place] = self._regression(chosen, writer.place, read_width(adapter, writer))
            targets = self._targets(chosen, writer, meeting.v, centre=edit.inputs.centre)
            readers[writer.place] = _solved(targets, regressions[writer.place], chosen, edit).cpu()
        return dataclasses.replace(placed, input_readers=readers)

    def _populations(self, edit: EditConfig, sizes: tuple[int, int, int]) -> Populations:
        return populations(
            self.captured.rows,
            sizes=sizes,
            contrast=edit.contrast,
            options=edit,
            is_protected=self.is_protected,
            is_refused=self.is_refused,
        )

    def _remembered(self, key: Hashable) -> dict[str, Regression]:
        """The regressions of a selection of rows, by writer; those of the oldest of several are forgotten."""
        if key not in self.regressions:
            while len(self.regressions) >= KEPT:
                self.regressions.pop(next(iter(self.regressions)))
            self.regressions[key] = {}
        return self.regressions[key]

    def _regression(self, chosen: Populations, place: str, width: int) -> Regression:
        """What is captured of a writer, divided into populations.

        Raises:
            ValueError: nothing was captured of it.
        """
        if place not in self.captured.read:
            raise ValueError(f"expected what goes into {place} to be captured, found it outside the study's space")
        rows = self.captured.read[place]
        parts = (chosen.taken, *chosen.spared, *chosen.kept)
        inner = None
        if sum(map(len, parts)) < width:
            if place not in self.products:
                self.products[place] = rows.double() @ rows.double().T
            index = torch.cat(parts).to(rows.device)
            inner = self.products[place][index][:, index]
        taken, *left_alone = (Population(rows[part.to(rows.device)]) for part in parts)
        return Regression(taken, tuple(left_alone), inner, self.is_steady)

    def _targets(self, chosen: Populations, writer: Writer, v: Tensor, *, centre: float | None) -> Tensor:
        """T: the components that are to go, counted from between the means of both sides, or from zero."""
        component = self.captured.outputs[writer.place].double() @ v.double()
        targets = component[chosen.taken.to(v.device)]
        if centre is None:
            return targets
        answered = component[chosen.answered.to(v.device)].mean(dim=0)
        return targets - torch.lerp(answered, targets.mean(dim=0), centre)


def _solved(targets: Tensor, regression: Regression, chosen: Populations, edit: EditConfig) -> Tensor:
    weights = chosen.weights(edit.inputs.protected_weight)
    spare_weight, ridge = best_weights(
        targets, regression, weights, spare_weight=edit.inputs.spare_weight, ridge=edit.inputs.ridge
    )
    return input_readers(targets, regression, weights, spare_weight=spare_weight, ridge=ridge)


def bytes_of_sums(adapter: Adapter, rows: LookedAt, writers: Sequence[Writer], *, is_steady: bool) -> int:
    """What `InputReading` remembers at most beside what was captured, all in float64.

    Where there are fewer rows than columns that is the inner products of all rows; else the axes of what is spared
    where trials are alike, and where they are not the second moments of all populations of several selections.
    """
    n_matrices = 1 if is_steady else KEPT * N_POPULATIONS
    widths = [read_width(adapter, writer) for writer in writers]
    return sum(8 * (rows.n_rows**2 if rows.n_rows < width else n_matrices * width**2) for width in widths)
