"""Every knob changes the plan, rounds build on the edited model, and a batch plans as each trial would alone."""

from __future__ import annotations

import dataclasses
import typing
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from saber.config import Config
from saber.keys import conditions, config_keys, parse_config, value_of, with_values
from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.editing.apply import applied
from saber.lm.editing.low_rank import meeting_at
from saber.lm.inference.batches import tokenise
from saber.lm.inference.residuals import probe
from saber.lm.inference.writer_inputs import writer_inputs
from saber.lm.input_reading import InputReading, bytes_of_sums
from saber.lm.loading.load import build_model
from saber.lm.planning import PlannedEdit, PlanRequest, make_plans
from saber.lm.steps import layers_of, rank_with, select
from saber.study.search.space import matters
from saber.types import Activations, EditPlan, LookedAt, ProbeSet, Prompt, PromptKind, TokenRow
from saber.vocabulary import Protects, Spares
from tests.conftest import TINY_GEMMA4, randomise

N_PAIRS = 16
TOKENS = {"harmful": 7, "harmless": 9, "capability": 11, "borderline": 13}


@pytest.fixture(scope="module")
def adapter() -> Adapter:
    """A tiny model whose harmful prompts hold token 7, harmless ones token 9, over random context."""
    model = build_model("gemma4_text", TINY_GEMMA4)
    randomise(model, seed=3)
    draw = torch.Generator().manual_seed(0)

    def rows(chats: list[Any], **_: Any) -> dict[str, list[list[int]]]:
        rendered = []
        for chat in chats:
            kind, number = chat[-1]["content"].split()
            draw.manual_seed(int(number))
            context = torch.randint(10, 64, (5,), generator=draw).tolist()
            rendered.append([*context, TOKENS[kind], 5])
        return {"input_ids": rendered}

    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=1, chat_template="x", apply_chat_template=rows)
    return adapt(model, tokenizer)


def prompts(kind: Any, n: int) -> tuple[Prompt, ...]:
    return tuple(Prompt(f"{kind} {i}", kind) for i in range(n))


PROBES = ProbeSet(
    tuple(dataclasses.replace(prompt, protected=i % 4 == 0) for i, prompt in enumerate(prompts("harmful", N_PAIRS))),
    prompts("harmless", N_PAIRS),
    prompts("capability", 12),
    prompts("borderline", N_PAIRS),
    tuple(i % 3 == 0 for i in range(N_PAIRS)),
)


@pytest.fixture(scope="module")
def base(adapter: Adapter) -> Activations:
    (activations,) = probe(adapter, PROBES, batch_size=64)
    return activations


@pytest.fixture(scope="module")
def inputs(adapter: Adapter) -> InputReading:
    """The ends of all probes, and as replies two positions further in a longer sequence of each."""
    by_kind: dict[PromptKind, tuple[Prompt, ...]] = {
        "harmful": PROBES.harmful,
        "harmless": PROBES.harmless,
        "borderline": PROBES.borderline,
    }
    rows = [
        (kind, i, tuple(tokens))
        for kind, split_prompts in {**by_kind, "capability": PROBES.capability}.items()
        for i, tokens in enumerate(tokenise(adapter, split_prompts))
    ]
    ends = [TokenRow(kind, i, tokens, (len(tokens) - 1,)) for kind, i, tokens in rows]
    replies = [TokenRow(kind, i, (*tokens, 3, 20, 5 + i), (8, 7), is_reply=True) for kind, i, tokens in rows]
    return InputReading.of(
        writer_inputs(adapter, LookedAt((*ends, *replies)), adapter.writers, batch_size=64),
        PROBES,
    )


def config(**edit: Any) -> Config:
    parsed = parse_config(
        {
            "model": {"path": "x"},
            "data": {"source": "organism", "n_probe": 12, "n_capability": 10},
            "edit": {"alpha_entangled": 0.3, "depth_band": {"low": 0.0, "high": 1.0}, "max_iterations": 2},
            "evaluate": {},
            "study": {"name": "x"},
        }
    )
    return with_values(parsed, {f"edit.{key}": value for key, value in edit.items()})


def plan(
    adapter: Adapter, base: Activations, *configs: Config, inputs: InputReading | None = None
) -> list[PlannedEdit]:
    requests = [PlanRequest(c.edit, c.data.probe_sizes) for c in configs]
    return make_plans(adapter, PROBES, base, requests, batch_size=64, inputs=inputs)


# What else must be set for a knob to matter, and a value away from the default.
KERNEL: dict[str, Any] = {"scope": "kernel"}
LONG: dict[str, Any] = {"max_iterations": 4}
INPUTS: dict[str, Any] = {"reader": "inputs", "spares": "answered"}
KNOBS: dict[str, tuple[dict[str, Any], Any]] = {
    "contrast": ({}, "false_refusal"),
    "outside_refusal": ({"contrast": "false_refusal"}, 0.0),
    "extraction": ({}, "dim"),
    "n_directions": ({}, 2),
    "winsorise": ({}, 0.8),
    "purify": ({}, "none"),
    "purify_rank": ({"purify": "subspace"}, 2),
    "fdr_folds": ({"global_top_k": 3}, 3),
    "n_capability_directions": ({}, 3),
    "depth_band.low": ({}, 0.7),
    "depth_band.high": ({}, 0.3),
    "layer_strategy": ({}, "elbow"),
    "layer_top_k": ({"layer_strategy": "top_k"}, 2),
    "layer_threshold": ({"layer_strategy": "threshold"}, 0.0),
    "layer_percentile": ({"layer_strategy": "percentile"}, 90.0),
    "global_top_k": ({}, 3),
    "strength": ({}, "decomposed"),
    "strength_unit": ({}, 0.5),
    "alpha_base": ({"entanglement_threshold": 0.9}, 0.5),
    "alpha_entangled": ({}, 0.1),
    "entanglement_threshold": ({}, 0.05),
    "scope": ({}, "all"),
    "reach": ({"scope": "band"}, 2),
    "acting_band.low": ({}, 0.7),
    "acting_band.high": ({}, 0.3),
    "component_scale.attention": ({}, 0.5),
    "component_scale.mlp": ({}, 0.5),
    "component_scale.per_layer": ({}, 0.0),
    **{
        f"kernel.{kind}.{name}": (KERNEL, value)
        for kind in ("attention", "mlp", "per_layer")
        for name, value in {"peak": 0.5, "position": 0.2, "floor": 0.3, "half_width": 0.3}.items()
    },
    "kernel.direction": (KERNEL, "global"),
    "kernel.direction_position": ({**KERNEL, "kernel.direction": "global"}, 0.3),
    "reader": ({}, "least_drift"),
    "spares": ({"reader": "least_drift"}, "harmful"),
    "reader_layer": ({"reader": "least_drift", "scope": "all"}, "own"),
    "reader_ridge": ({"reader": "least_drift"}, 0.1),
    "protects": (INPUTS, "none"),
    "inputs.spare_weight": (INPUTS, 10.0),
    "inputs.ridge": (INPUTS, 1.0),
    "inputs.centre": (INPUTS, 0.3),
    "inputs.replies": (INPUTS, 1),
    "inputs.protected_weight": (INPUTS, 9.0),
    "norm_preserve": ({}, "row"),
    "max_iterations": ({}, 1),
    "decay": ({}, 0.5),
    "tolerance": ({}, 1e6),
    "stable_cosine": (LONG, 0.0),
    "patience": ({**LONG, "stable_cosine": 1.0, "alpha_base": 0.0, "alpha_entangled": 0.0}, 1),
}


def test_no_knob_is_forgotten() -> None:
    elsewhere = {"edit.position"}  # what is read is another token: tests/lm/inference/test_positions.py
    assert {f"edit.{knob}" for knob in KNOBS} | elsewhere == {key for key in config_keys() if key.startswith("edit.")}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_changes_the_plan(adapter: Adapter, base: Activations, inputs: InputReading, knob: str) -> None:
    others, value = KNOBS[knob]
    before = config(**others)
    after = with_values(before, {f"edit.{knob}": value})
    assert value_of(before, f"edit.{knob}") != value
    plan_before, plan_after = (plan(adapter, base, trial_config, inputs=inputs)[0] for trial_config in (before, after))
    if knob == "patience":  # with nothing edited only the number of rounds can differ
        assert len(plan_before.plan.rounds) != len(plan_after.plan.rounds)
    assert plan_before.plan.digest != plan_after.plan.digest


def test_every_way_to_keep_norms_is_another_plan(adapter: Adapter, base: Activations) -> None:
    plans = [plan(adapter, base, config(norm_preserve=how))[0].plan for how in ("none", "row", "unit_row")]
    assert len({edit.digest for edit in plans}) == 3
    assert [(edit.row_norm, edit.unit_rows) for edit in plans] == [(False, False), (True, False), (True, True)]


def test_whom_a_reader_spares_is_another_plan(adapter: Adapter, base: Activations) -> None:
    edits = [config(contrast="false_refusal", reader="least_drift", spares=whom) for whom in typing.get_args(Spares)]
    assert len({planned.plan.digest for planned in plan(adapter, base, *edits)}) == len(edits)


def test_whom_a_reader_of_inputs_spares_is_another_plan(
    adapter: Adapter, base: Activations, inputs: InputReading
) -> None:
    edits = [config(contrast="false_refusal", reader="inputs", spares=whom) for whom in ("harmless", "harmful")]
    edits += [config(reader="inputs", spares=whom, protects=p) for whom in ("harmless", "answered") for p in
              typing.get_args(Protects)]  # fmt: skip
    assert len({planned.plan.digest for planned in plan(adapter, base, *edits, inputs=inputs)}) == len(edits)


def test_without_what_goes_into_writers_no_input_is_read(adapter: Adapter, base: Activations) -> None:
    with pytest.raises(ValueError, match=r"what goes into writers for edit\.reader=inputs, found none"):
        plan(adapter, base, config(reader="inputs"))


NOTHING_SPARED: dict[str, Any] = {"inputs.spare_weight": 1e-8, "inputs.ridge": 1e-8, "inputs.replies": 0}


@pytest.mark.parametrize("centre", [None, 0.0, 0.4])
def test_the_component_of_refused_prompts_goes_to_that_of_answered_ones_or_between_or_to_zero(
    adapter: Adapter, base: Activations, inputs: InputReading, centre: float | None
) -> None:
    """With as many columns as prompts and nothing spared, a reader of inputs finds all of it."""
    setting = config(
        reader="inputs", strength="uniform", alpha_base=1.0, max_iterations=1, scope="all", protects="none"
    )
    setting = with_values(setting, {f"edit.{key}": value for key, value in NOTHING_SPARED.items()})
    setting = with_values(setting, {"edit.inputs.centre": centre, "edit.global_top_k": 2})
    (done,) = plan(adapter, base, setting, inputs=inputs)
    writer = next(w for w in adapter.writers if w.kind == "mlp")  # the first layer's: what goes in is not yet edited
    (placed,) = done.plan.rounds
    meeting = meeting_at(dataclasses.replace(placed, input_readers=None), writer)
    assert meeting is not None
    edit = done.compiled.edits[adapter.writers.index(writer)]
    assert edit is not None
    x, y = inputs.captured.read[writer.place][:12], inputs.captured.outputs[writer.place]
    harmless = y[len(PROBES.harmful) :][:12] @ meeting.v
    left = (y[:12] - ((x @ edit.v) * edit.a) @ edit.u.T) @ meeting.v
    expected = torch.zeros(2)
    if centre is not None:
        refused = y[:12] @ meeting.v
        expected = (1.0 - centre) * harmless.mean(dim=0) + centre * refused.mean(dim=0)
    torch.testing.assert_close(left, expected.expand(12, 2), atol=2e-3, rtol=1e-2)


def test_edits_stay_within_their_band(adapter: Adapter, base: Activations, inputs: InputReading) -> None:
    band = {"acting_band": {"low": 0.3, "high": 0.7}, "scope": "all", "max_iterations": 1}
    for reader in ("direction", "least_drift", "inputs"):
        (done,) = plan(adapter, base, config(reader=reader, **band), inputs=inputs)
        assert done.plan.edited_layers == (2, 3)
        places = [w.place for w in adapter.writers if w.layer in (2, 3)]
        readers = done.plan.rounds[0].input_readers
        assert sorted(readers or {}) == (sorted(places) if reader == "inputs" else [])


def test_a_band_between_two_layers_is_refused(adapter: Adapter, base: Activations) -> None:
    with pytest.raises(ValueError, match=r"a layer within edit\.acting_band, found none of 6 from 0\.45 to 0\.55"):
        plan(adapter, base, config(acting_band={"low": 0.45, "high": 0.55}))


def test_a_second_round_looks_at_what_goes_in_after_the_first(
    adapter: Adapter, base: Activations, inputs: InputReading
) -> None:
    twice = config(reader="inputs", max_iterations=2, stable_cosine=1.0)
    (done,) = plan(adapter, base, twice, inputs=inputs)
    first, second = done.plan.rounds
    with applied(adapter, [EditPlan((first,))]):
        seen = writer_inputs(adapter, inputs.captured.rows, adapter.writers, batch_size=64)
    bare = dataclasses.replace(second, input_readers=None)
    again = inputs.over(seen).with_readers(adapter, bare, twice.edit, twice.data.probe_sizes)
    for place, k in (second.input_readers or {}).items():
        torch.testing.assert_close(k, (again.input_readers or {})[place], atol=1e-4, rtol=1e-3)


def test_readers_are_the_same_where_trials_are_alike_and_take_what_was_said(
    adapter: Adapter, base: Activations, inputs: InputReading
) -> None:
    """One set of axes a writer where the rows and weights are the same in all trials; second moments where not."""
    everywhere: dict[str, Any] = {"reader": "inputs", "max_iterations": 1, "scope": "all"}
    edits = [config(**everywhere, **{"inputs.ridge": ridge}) for ridge in (0.1, 1.0)]
    steady = dataclasses.replace(inputs, is_steady=True, products={}, regressions={})
    moving = dataclasses.replace(inputs, products={}, regressions={})
    for done, expected in zip(
        plan(adapter, base, *edits, inputs=steady), plan(adapter, base, *edits, inputs=moving), strict=True
    ):
        for place, k in (expected.plan.rounds[0].input_readers or {}).items():
            torch.testing.assert_close((done.plan.rounds[0].input_readers or {})[place], k, atol=1e-5, rtol=1e-4)
    held = [r for by_place in steady.regressions.values() for r in by_place.values()]
    axes = sum(8 * s.axes.numel() for r in held for s in r.spectra.values())
    inner = sum(8 * product.numel() for product in steady.products.values())
    rows, writers = inputs.captured.rows, adapter.writers
    assert axes + inner == bytes_of_sums(adapter, rows, writers, is_steady=True)
    moments = sum(
        8 * population.moment.numel()
        for by_place in moving.regressions.values()
        for r in by_place.values()
        if r.inner is None
        for population in (r.taken, *r.spared)
    )
    assert 0 < moments + inner <= bytes_of_sums(adapter, rows, writers, is_steady=False)


def test_one_strength_for_every_direction_whatever_its_entanglement(adapter: Adapter, base: Activations) -> None:
    blended, uniform = (
        plan(adapter, base, config(strength=how, alpha_base=0.7, alpha_entangled=0.1))[0].plan.rounds[0].strengths
        for how in ("blended", "uniform")
    )
    assert set(uniform[uniform != 0].tolist()) == {torch.tensor(0.7).item()}
    assert len(set(blended[blended != 0].tolist())) > 1


@pytest.mark.parametrize("key", ["data.n_probe", "data.n_capability"])
def test_probe_counts_change_the_plan(adapter: Adapter, base: Activations, key: str) -> None:
    all_probes, eight_probes = plan(adapter, base, config())[0], plan(adapter, base, with_values(config(), {key: 8}))[0]
    assert all_probes.plan.digest != eight_probes.plan.digest


def test_the_number_of_borderline_probes_changes_a_plan_of_false_refusal_alone(
    adapter: Adapter, base: Activations
) -> None:
    for contrast, n_plans in (("refusal", 1), ("false_refusal", 2)):
        many, few = config(contrast=contrast), with_values(config(contrast=contrast), {"data.n_borderline": 8})
        assert len({planned.plan.digest for planned in plan(adapter, base, many, few)}) == n_plans


@pytest.mark.parametrize("key", [f"edit.{knob}" for knob in KNOBS if conditions(f"edit.{knob}")])
def test_a_knob_said_not_to_matter_does_not(adapter: Adapter, base: Activations, key: str) -> None:
    settled = {"edit.max_iterations": 1, "edit.strength": "uniform", "edit.extraction": "dim"}
    start = with_values(config(), settled)
    if key.startswith("edit.depth_band.") or key == "edit.layer_strategy":
        start = with_values(start, {"edit.scope": "kernel", "edit.kernel.direction": "global"})
    assert not matters(key, start)
    _, changed = KNOBS[key.removeprefix("edit.")]
    before, after = plan(adapter, base, start)[0], plan(adapter, base, with_values(start, {key: changed}))[0]
    assert before.plan.digest == after.plan.digest


@pytest.mark.parametrize(
    "edit",
    [
        {"depth_band": {"low": 0.3, "high": 0.7}},
        {"layer_strategy": "top_k", "layer_top_k": 2},
        {"scope": "kernel", "kernel": {"direction": "global", "direction_position": 0.5}},
    ],
)
def test_only_layers_that_directions_can_come_from_are_ranked(base: Activations, edit: dict[str, Any]) -> None:
    edit_config = config(**edit).edit
    needed, every = rank_with(base, edit_config), rank_with(base, edit_config, everywhere=True)
    assert sorted(needed.directions) == layers_of(edit_config, every.layer_fdr)
    assert 0 < len(needed.directions) < len(every.directions) == base.n_layers
    for layer, ranked in needed.directions.items():
        for here, there in zip(ranked, every.directions[layer], strict=True):
            assert torch.equal(here.direction.vector, there.direction.vector)
    chosen = [[candidate.score for candidate in select(ranking, edit_config)] for ranking in (needed, every)]
    assert chosen[0] == chosen[1]


def test_trials_planned_together_are_planned_as_alone(adapter: Adapter, base: Activations) -> None:
    settings = [config(), config(scope="all", max_iterations=3), config(alpha_base=0.4, norm_preserve="row")]
    for together, setting in zip(plan(adapter, base, *settings), settings, strict=True):
        (alone,) = plan(adapter, base, setting)
        assert together.stopped == alone.stopped
        for edit_round, other in zip(together.plan.rounds, alone.plan.rounds, strict=True):
            torch.testing.assert_close(edit_round.strengths, other.strengths, atol=1e-4, rtol=1e-3)


def test_nothing_is_probed_that_no_round_is_planned_from(
    adapter: Adapter, base: Activations, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_plans: list[int] = []

    def counted(*args: Any, **kwargs: Any) -> list[Activations]:
        n_plans.append(len(kwargs["plans"]))
        return probe(*args, **kwargs)

    monkeypatch.setattr("saber.lm.planning.probe", counted)
    once, thrice = config(max_iterations=1), config(max_iterations=3, stable_cosine=1.0, patience=3)
    planned = plan(adapter, base, once, thrice)
    assert [len(trial.plan.rounds) for trial in planned] == [1, 3]
    assert [trial.stopped for trial in planned] == ["max_iterations"] * 2
    assert n_plans == [1, 1]


def test_a_second_round_extracts_from_the_edited_model(adapter: Adapter, base: Activations) -> None:
    (once,) = plan(adapter, base, config(max_iterations=1))
    (twice,) = plan(adapter, base, config(max_iterations=2))
    assert torch.equal(once.plan.rounds[0].directions, twice.plan.rounds[0].directions)
    with applied(adapter, [once.plan]):
        (edited,) = probe(adapter, PROBES, batch_size=64)
    (afresh,) = plan(adapter, edited, config(max_iterations=1))
    torch.testing.assert_close(
        twice.plan.rounds[1].directions.abs(), afresh.plan.rounds[0].directions.abs(), atol=1e-3, rtol=1e-2
    )


def test_strengths_decay_round_by_round(adapter: Adapter, base: Activations) -> None:
    blend = {"alpha_entangled": 0.8, "alpha_base": 0.8, "decay": 0.5}
    (done,) = plan(adapter, base, config(**blend))
    assert [float(edit_round.strengths.max()) for edit_round in done.plan.rounds] == pytest.approx([0.8, 0.4])


def test_presets_differ(adapter: Adapter, base: Activations) -> None:
    arditi = config(extraction="dim", n_directions=1, purify="none", global_top_k=1, scope="all", max_iterations=1)
    (done,) = plan(adapter, base, arditi)
    (only,) = done.plan.rounds
    assert only.directions.shape[0] == 1
    assert dataclasses.asdict(arditi.edit) != dataclasses.asdict(config().edit)
    assert bool((only.strengths > 0).all())
