"""From probes to plans: rank, select, scale, place, apply, probe again, for T trials side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from saber.config import EditConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied
from saber.lm.editing.compiled import CompiledPlan, compile_plan
from saber.lm.inference.residuals import probe
from saber.lm.inference.writer_inputs import writer_inputs
from saber.lm.input_reading import InputReading
from saber.lm.steps import Steps
from saber.method.contrast import contrasted, spared
from saber.method.placement import place
from saber.method.ranking import residual_refusal
from saber.method.reading import readers_of
from saber.method.refinement import RoundOutcome, StopReason, stop_reason
from saber.method.strength import scaled
from saber.types import WRITER_KINDS, Activations, EditPlan, ProbeSet, RankedDirection, Round, WriterKind
from saber.vocabulary import OUTPUT_READERS


@dataclass(frozen=True)
class PlanRequest:
    """What one trial asks for: the knobs, and how many pairs, capability and borderline prompts it looks at."""

    edit: EditConfig
    sizes: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class PlannedEdit:
    """A finished plan, compiled for the model, and why refinement stopped."""

    compiled: CompiledPlan
    stopped: StopReason
    selected: tuple[RankedDirection, ...]

    @property
    def plan(self) -> EditPlan:
        """The plan itself."""
        return self.compiled.plan


@dataclass
class _Draft:
    """A plan in the making."""

    request: PlanRequest
    activations: Activations
    steps: Steps = field(default_factory=Steps)
    rounds: list[Round] = field(default_factory=list)
    outcomes: list[RoundOutcome] = field(default_factory=list)
    selected: tuple[RankedDirection, ...] = ()
    compiled: CompiledPlan | None = None
    inputs: InputReading | None = None
    stopped: StopReason | None = None


def make_plans(
    adapter: Adapter,
    probes: ProbeSet,
    base: Activations,
    requests: Sequence[PlanRequest],
    *,
    batch_size: int,
    inputs: InputReading | None = None,
    steps: Steps | None = None,
) -> list[PlannedEdit]:
    """Plan every request, refining all of them together; ``base`` are the unedited activations of ``probes``.

    ``inputs`` are what writers of the unedited model are given, where a request reads them. ``steps`` are the method's
    own where none are given.

    Each round extracts from the model as edited so far, with its strengths scaled by decay^round. The last round that
    a request allows is not probed: nothing would be planned from it.
    """
    drafts = [_Draft(request, base.first(*request.sizes), steps or Steps(), inputs=inputs) for request in requests]
    while active := [draft for draft in drafts if draft.stopped is None]:
        for draft in active:
            add_round(draft)
            if draft.request.edit.reader == "inputs":
                _read_inputs(adapter, draft)
            draft.compiled = compile_plan(adapter, _plan(draft), draft.compiled)
            if len(draft.rounds) == draft.request.edit.max_iterations:
                draft.stopped = "max_iterations"
        _probe_again(adapter, probes, [draft for draft in active if draft.stopped is None], batch_size)
    return [
        PlannedEdit(draft.compiled, draft.stopped, draft.selected)
        for draft in drafts
        if draft.compiled is not None and draft.stopped is not None
    ]


def largest_sizes(requests: Sequence[PlanRequest]) -> tuple[int, ...]:
    """So many pairs, capability and borderline prompts that every request finds its own among them."""
    return tuple(map(max, zip(*(request.sizes for request in requests), strict=True)))


def _probe_again(adapter: Adapter, probes: ProbeSet, drafts: Sequence[_Draft], batch_size: int) -> None:
    """Look at the models as edited so far, all in the same passes, and decide which of them go on."""
    if not drafts:
        return
    needed = probes.first(*largest_sizes([draft.request for draft in drafts]))
    plans = [draft.compiled for draft in drafts if draft.compiled is not None]
    captured = probe(adapter, needed, plans=plans, batch_size=batch_size)
    for draft, activations in zip(drafts, captured, strict=True):
        edit = draft.request.edit
        draft.activations = activations.first(*draft.request.sizes)
        seen = contrasted(draft.activations, edit.contrast)
        residual = residual_refusal(seen.refused, seen.answered, _plan(draft).edited_layers)
        draft.outcomes.append(RoundOutcome(draft.rounds[-1].directions[0], residual))
        draft.stopped = stop_reason(draft.outcomes, edit)
        if edit.reader == "inputs" and draft.stopped is None:
            _look_again(adapter, draft, batch_size)


def _look_again(adapter: Adapter, draft: _Draft, batch_size: int) -> None:
    """Look at what goes into the writers of the model as edited so far, a trial at a time: it is large."""
    if draft.inputs is None or draft.compiled is None:
        return
    captured = draft.inputs.captured
    writers = [writer for writer in adapter.writers if writer.place in captured.read]
    with applied(adapter, [draft.compiled]):
        draft.inputs = draft.inputs.over(writer_inputs(adapter, captured.rows, writers, batch_size=batch_size))


def _read_inputs(adapter: Adapter, draft: _Draft) -> None:
    """Give the last round readers of inputs.

    Raises:
        ValueError: nothing was captured of inputs, or the probes hold none that refusal may be taken from.
    """
    if draft.inputs is None:
        raise ValueError("expected what goes into writers for edit.reader=inputs, found none captured")
    placed = draft.rounds[-1]
    draft.rounds[-1] = draft.inputs.with_readers(adapter, placed, draft.request.edit, draft.request.sizes)


def _plan(draft: _Draft) -> EditPlan:
    keeps = draft.request.edit.norm_preserve
    return EditPlan(tuple(draft.rounds), row_norm=keeps != "none", unit_rows=keeps == "unit_row")


def add_round(draft: _Draft) -> None:
    """Rank the model as it stands and append the next round; the first round's selection is remembered."""
    edit, steps = draft.request.edit, draft.steps
    ranking = steps.rank(draft.activations, edit)
    selected = steps.select(ranking, edit)
    if not draft.rounds:
        draft.selected = selected
    factor = edit.unit * edit.decay ** len(draft.rounds)
    directions = scaled(selected, ranking.capability_bases, edit, factor=factor)
    n_layers = draft.activations.n_layers
    by_kind: Mapping[WriterKind, float] = {kind: getattr(edit.component_scale, kind) for kind in WRITER_KINDS}
    placed = place(directions, steps.reach(edit, n_layers), by_kind)
    if edit.reader in OUTPUT_READERS:
        undisturbed = spared(draft.activations, edit.contrast, edit.spares)
        readers = readers_of(placed, undisturbed, edit, found_at=[layer for _, layer, _ in directions])
        placed = dataclasses.replace(placed, readers=readers)
    draft.rounds.append(placed)
