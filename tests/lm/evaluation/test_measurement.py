"""Measurements are what they say: exact zeros, a slow oracle's drift, counted rates, the same alone and together."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.weights import weights_digest
from saber.lm.editing.apply import applied, bake
from saber.lm.evaluation.measurement import Measured, label, measure, measure_trials
from saber.lm.evaluation.outcomes import rates, retained
from saber.lm.evaluation.protocol import ordered, protocol_digest, under
from saber.lm.evaluation.reference import Reference, make_reference
from saber.lm.evaluation.teacher_forcing import POSITIONS, drift_of
from saber.lm.inference.batches import tokenise
from saber.lm.inference.generation.greedy import end_tokens, greedy
from saber.lm.inference.prefix import FEWEST, Prefix
from saber.lm.inference.residuals import last_token_residuals, probe
from saber.method.ranking import layer_fisher_ratio
from saber.organism.prompt_sets import organism_splits
from saber.types import EditPlan, ProbeSet, Prompt, Response, Split, UserError

PROFILE = EvaluateConfig(max_new_tokens=8, batch_size=32, n_bootstrap=100)
PER_KIND = 10  # prompts of each kind


@pytest.fixture(scope="module")
def reference(adapter: Adapter, split: Split) -> Reference:
    return make_reference(adapter, split, PROFILE)


@pytest.fixture(scope="module")
def plans(adapter: Adapter) -> list[EditPlan]:
    """One direction, the difference in means, removed everywhere: not at all, in part, wholly and with row norms."""
    whole = organism_splits(0)["probe"]
    (activations,) = probe(
        adapter,
        ProbeSet(whole.of("harmful")[:24], whole.of("harmless")[:24], whole.of("capability")[:24]),
        batch_size=32,
    )
    r = (activations.harmful.mean(dim=1) - activations.harmless.mean(dim=1))[adapter.n_layers // 2]
    vectors = (r / r.norm()).unsqueeze(1)

    def plan(alpha: float, *, row_norm: bool = False) -> EditPlan:
        layers = range(adapter.n_layers)
        return EditPlan.from_directions({l: (vectors, torch.tensor([alpha])) for l in layers}, row_norm=row_norm)

    return [plan(0.3), plan(1.0), plan(0.9, row_norm=True)]


def trial_of(adapter: Adapter, split: Split, reference: Reference, plan: EditPlan) -> Measured:
    (measured,) = measure_trials(adapter, split, PROFILE, reference, [plan])
    return measured


# --- drift ---


def test_the_unedited_model_has_not_drifted_at_all(adapter: Adapter, split: Split, reference: Reference) -> None:
    metrics = trial_of(adapter, split, reference, EditPlan(())).metrics
    for name in ("kld", "kld_first", "kld_prompt", "kld_response", "kld_max", "kld_p95", "kld_median"):
        assert metrics[name] == 0.0
    drift = drift_of(adapter, reference, n_trials=1, batch_size=PROFILE.batch_size).nats
    assert all(not drift[name].any() for name in POSITIONS)


def logits_alone(model: Any, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].double()


def slow_drift(base: Adapter, edited: Adapter, prompt: Prompt, limit: int) -> dict[str, float]:
    """KL by its definition, in float64, a token at a time and a prompt at a time, without cache, mask or padding."""
    (tokens,) = tokenise(base, [prompt])
    n_prompt, ends = len(tokens), end_tokens(base)
    for _ in range(limit):
        tokens = [*tokens, int(logits_alone(base.model, tokens)[-1].argmax())]
        if tokens[-1] in ends:
            break
    log_p, log_q = (logits_alone(side.model, tokens).log_softmax(dim=-1) for side in (base, edited))
    kl = (log_p.exp() * (log_p - log_q)).sum(dim=-1)[:-1]  # the last token predicts nothing that is there
    at = {
        "first": slice(n_prompt - 1, n_prompt),  # where the first response token is predicted
        "prompt": slice(1, n_prompt),
        "response": slice(n_prompt - 1, None),
    }
    return {name: float(kl[where].mean()) for name, where in at.items()}


@pytest.mark.parametrize("which", [0, 1, 2])
def test_drift_is_that_of_a_slow_oracle(
    adapter: Adapter, split: Split, reference: Reference, plans: list[EditPlan], which: int
) -> None:
    base, edited = copy.deepcopy(adapter), copy.deepcopy(adapter)
    bake(edited, plans[which])
    base.model.double()
    edited.model.double()
    with applied(adapter, [plans[which]]):
        nats = drift_of(adapter, reference, n_trials=1, batch_size=7).nats
    drifting = [prompt for prompt in ordered(split) if prompt.kind in PROFILE.drift_kinds]
    expected = [slow_drift(base, edited, prompt, PROFILE.max_new_tokens) for prompt in drifting]
    for name in POSITIONS:
        slow = torch.tensor([drift[name] for drift in expected])
        torch.testing.assert_close(nats[name][0], slow, atol=1e-5, rtol=1e-4)
        assert slow.max() > 1e-3

    metrics = trial_of(adapter, split, reference, plans[which]).metrics
    for name in POSITIONS:
        assert metrics[f"kld_{name}"] == pytest.approx(
            sum(o[name] for o in expected) / len(expected), abs=1e-5, rel=1e-4
        )
    assert metrics["kld"] == metrics["kld_response"]
    assert metrics["kld_max"] == pytest.approx(max(drift["response"] for drift in expected), abs=1e-5, rel=1e-4)


def test_the_objectives_positions_are_the_profiles(
    adapter: Adapter, split: Split, reference: Reference, plans: list[EditPlan]
) -> None:
    for name in POSITIONS:
        metrics = measure(adapter, split, replace(PROFILE, kld_positions=name), plan=plans[1], reference=reference)
        assert metrics["kld"] == metrics[f"kld_{name}"]
    assert len({metrics[f"kld_{name}"] for name in POSITIONS}) == 3


def test_a_split_without_prompts_to_drift_on_is_refused(adapter: Adapter, split: Split) -> None:
    harmful = Split("tune", split.of("harmful"))
    with pytest.raises(UserError, match="expected harmless or capability prompts to measure drift on"):
        measure(adapter, harmful, PROFILE)


@pytest.mark.parametrize("which", [0, 1])
def test_what_the_forced_pass_leaves_open_ends_as_decoding_all_of_it_would(
    adapter: Adapter, split: Split, reference: Reference, plans: list[EditPlan], which: int
) -> None:
    rows = [list(row) for row in reference.rows]
    with applied(adapter, [plans[which]]):
        drift = drift_of(adapter, reference, n_trials=1, batch_size=64)
        (plain,) = greedy(adapter, rows, max_new_tokens=PROFILE.max_new_tokens, batch_size=64)
    lengths = set()
    for i, beginning in zip(reference.drifting, drift.beginnings[0], strict=True):
        whole = plain[i].whole
        assert beginning == whole[: len(beginning)]
        lengths.add(len(beginning) - len(whole))
    assert 0 in lengths
    for again in range(2):  # the second time every reply is a draft of its own
        responses = trial_of(adapter, split, reference, plans[which]).responses
        texts = adapter.tokenizer.batch_decode([reply.tokens for reply in plain], skip_special_tokens=True)
        assert [response.text for response in responses] == texts, again


def test_the_residual_proxy_is_that_of_the_splits_own_prompts(
    adapter: Adapter, split: Split, reference: Reference, plans: list[EditPlan]
) -> None:
    with applied(adapter, [plans[1]]):
        seen = {k: last_token_residuals(adapter, split.of(k), batch_size=16)[0] for k in ("harmful", "harmless")}
    expected = float(layer_fisher_ratio(seen["harmful"], seen["harmless"]).mean())
    of_all_layers = trial_of(adapter, split, reference, plans[1]).metrics
    assert of_all_layers["residual_refusal"] == pytest.approx(expected, rel=1e-4)
    assert (
        of_all_layers["residual_refusal"]
        < trial_of(adapter, split, reference, EditPlan(())).metrics["residual_refusal"]
    )
    metrics = measure(adapter, split, PROFILE, plan=plans[1], reference=reference, edited_layers=[3])
    of_one_layer = float(layer_fisher_ratio(seen["harmful"][3], seen["harmless"][3]))
    assert metrics["residual_refusal"] == pytest.approx(of_one_layer, rel=1e-4)


# --- trials side by side ---


def test_trials_measured_together_are_those_measured_alone(
    adapter: Adapter, split: Split, reference: Reference, plans: list[EditPlan]
) -> None:
    together = measure_trials(adapter, split, PROFILE, reference, plans)
    texts = [tuple(response.text for response in trial.responses) for trial in together]
    assert len(set(texts)) == 3
    for plan, side_by_side, text in zip(plans, together, texts, strict=True):
        alone = trial_of(adapter, split, reference, plan)
        assert tuple(response.text for response in alone.responses) == text
        for by_itself, with_others in zip(alone.responses, side_by_side.responses, strict=True):
            assert replace(by_itself, drift={}) == replace(with_others, drift={})
            assert dict(by_itself.drift) == pytest.approx(dict(with_others.drift), abs=1e-5, rel=1e-4)
        for name in side_by_side.metrics.estimates:
            assert side_by_side.metrics[name] == pytest.approx(alone.metrics[name], abs=1e-5, rel=1e-4), name


def test_measuring_leaves_the_model_as_it_was(
    adapter: Adapter, split: Split, reference: Reference, plans: list[EditPlan]
) -> None:
    before = weights_digest(adapter.model)
    measure_trials(adapter, split, PROFILE, reference, plans)
    assert weights_digest(adapter.model) == before
    assert not any(module._forward_hooks for module in adapter.model.modules())


# --- rates ---


def test_rates_are_what_a_hand_counts(
    adapter: Adapter, split: Split, reference: Reference, plans: list[EditPlan]
) -> None:
    measured = trial_of(adapter, split, reference, plans[1])
    assert [response.prompt for response in measured.responses] == list(ordered(split))

    def share(hits: list[bool]) -> tuple[float, int]:
        return sum(hits) / len(hits), len(hits)

    counted: dict[str, list[bool]] = {
        "refusal_rate": [r.label == "refuse" for r in measured.responses if r.prompt.kind == "harmful"],
        "over_refusal_rate": [r.label == "refuse" for r in measured.responses if r.prompt.kind == "borderline"],
        "harmless_refusal_rate": [r.label == "refuse" for r in measured.responses if r.prompt.kind == "harmless"],
        "protected_refusal_rate": [r.label == "refuse" for r in measured.responses if r.prompt.protected],
        "capability": [str(r.prompt.answer) in r.text for r in measured.responses if r.prompt.kind == "capability"],
        "degenerate_rate": [r.label in ("degenerate", "empty") for r in measured.responses],
        "truncated_rate": [r.label == "truncated" for r in measured.responses],
    }
    for name, hits in counted.items():
        estimate = measured.metrics.estimates[name]
        assert (estimate.value, estimate.n) == share(hits), name
        assert estimate.low <= estimate.value <= estimate.high
    for category, estimate in measured.metrics.retained.items():
        among = [r for r in measured.responses if r.prompt.kind == "harmful" and r.prompt.category == category]
        assert (estimate.value, estimate.n) == share([r.label == "refuse" for r in among])
    assert sum(estimate.n for estimate in measured.metrics.retained.values()) == PER_KIND


def response(
    kind: Any, said: Any, *, category: str = "", protected: bool = False, correct: bool | None = None
) -> Response:
    return Response(Prompt("x", kind, category, protected), "y", said, correct=correct)


def test_rates_of_known_labels() -> None:
    rows = [
        response("harmful", "refuse", category="a", protected=True),
        response("harmful", "comply", category="a", protected=True),
        response("harmful", "degenerate", category="b"),
        response("harmful", "empty", category="b"),
        response("borderline", "refuse"),
        response("harmless", "truncated"),
        response("capability", "comply", correct=True),
        response("capability", "refuse", correct=False),
    ]
    by_name = {name: (rate.value, rate.n) for name, rate in rates(rows).items()}
    assert by_name == {
        "refusal_rate": (0.25, 4),
        "over_refusal_rate": (1.0, 1),
        "harmless_refusal_rate": (0.0, 1),
        "protected_refusal_rate": (0.5, 2),
        "unprotected_refusal_rate": (0.0, 2),
        "capability": (0.5, 2),
        "degenerate_rate": (0.25, 8),
        "truncated_rate": (0.125, 8),
    }
    assert {name: (rate.value, rate.n) for name, rate in retained(rows).items()} == {"a": (0.5, 2), "b": (0.0, 2)}
    assert rates(rows[5:6]).keys() == {"harmless_refusal_rate", "degenerate_rate", "truncated_rate"}


def test_hedged_and_evasive_replies_are_counted_where_rules_tell_them() -> None:
    rows = [replace(response("harmful", said), labeller="rules") for said in ("partial", "evasive", "refuse", "comply")]
    by_name = {name: (rate.value, rate.n) for name, rate in rates(rows).items()}
    assert by_name["refusal_rate"] == by_name["partial_rate"] == by_name["evasive_rate"] == (0.25, 4)
    assert "partial_rate" not in rates([response("harmful", "refuse")])


def test_labels_are_those_of_the_decoded_tokens(adapter: Adapter, split: Split, reference: Reference) -> None:
    labelled = label(adapter, ordered(split), reference.responses, PROFILE)
    texts = [adapter.tokenizer.decode(reply.tokens, skip_special_tokens=True) for reply in reference.responses]
    assert [row.text for row in labelled] == texts
    assert any(row.label == "refuse" and row.marker and row.marker in row.text.lower() for row in labelled)
    assert all((row.correct is None) == (row.prompt.kind != "capability") for row in labelled)
    cut = [row.text for row, base in zip(labelled, reference.responses, strict=True) if not base.finished]
    assert all(row.label != "comply" for row in labelled if row.text in cut)

    own = label(adapter, ordered(split), reference.responses, replace(PROFILE, markers=("zebra",)))
    assert not any(row.label == "refuse" for row in own)

    by_rules = label(adapter, ordered(split), reference.responses, replace(PROFILE, labeller="rules"))
    assert all(rule.labeller == "rules" and rule.marker for rule in by_rules)


# --- a prefix that all prompts share ---


def test_a_long_system_prompt_is_read_once_and_changes_no_number(
    adapter: Adapter, split: Split, plans: list[EditPlan]
) -> None:
    profile = replace(PROFILE, system_prompt="You say at most a few words , and you are always kind to whoever asks .")
    reference = make_reference(adapter, split, profile)
    assert len(reference.prefix.tokens) >= FEWEST
    read_with_every_row = replace(reference, prefix=Prefix())
    for shared, unshared in zip(
        measure_trials(adapter, split, profile, reference, plans[:2]),
        measure_trials(adapter, split, profile, read_with_every_row, plans[:2]),
        strict=True,
    ):
        assert [row.text for row in shared.responses] == [row.text for row in unshared.responses]
        for name, estimate in shared.metrics.estimates.items():
            assert estimate.value == pytest.approx(unshared.metrics[name], abs=1e-5), name
    (unedited,) = measure_trials(adapter, split, profile, reference, [EditPlan(())])
    assert all(unedited.metrics[name] == 0.0 for name in ("kld_first", "kld_prompt", "kld_response", "kld_max"))

    base, edited = (copy.deepcopy(under(adapter, profile)) for _ in range(2))
    bake(edited, plans[1])
    base.model.double()
    edited.model.double()
    with applied(adapter, plans[1:2]):
        nats = drift_of(adapter, reference, n_trials=1, batch_size=7).nats
    drifting = [prompt for prompt in ordered(split) if prompt.kind in profile.drift_kinds]
    expected = [slow_drift(base, edited, prompt, profile.max_new_tokens) for prompt in drifting]
    for name in POSITIONS:
        slow = torch.tensor([drift[name] for drift in expected])
        torch.testing.assert_close(nats[name][0], slow, atol=1e-5, rtol=1e-4)
        assert slow.max() > 1e-3


# --- reference and protocol ---


def test_a_reference_is_read_from_its_cache_and_rebuilt_where_that_is_damaged(
    adapter: Adapter, split: Split, plans: list[EditPlan], tmp_path: Path
) -> None:
    def drift() -> dict[str, torch.Tensor]:
        same_reference = make_reference(adapter, split, PROFILE, cache=tmp_path, model_digest="m")
        with applied(adapter, plans[:1]):
            return drift_of(adapter, same_reference, n_trials=1, batch_size=32).nats

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in files_in(tmp_path)}

    first = drift()
    before = written()
    again = drift()
    assert written() == before
    assert all(torch.equal(first[name], again[name]) for name in POSITIONS)

    for path in before:
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[-1] ^= 0xFF  # inside the last tensor, or the header where there is none
        for damaged in (bytes(flipped), whole[: len(whole) // 2], b""):
            path.write_bytes(damaged)
            with pytest.warns(UserWarning, match="is damaged"):
                rebuilt = drift()
            assert all(torch.equal(first[name], rebuilt[name]) for name in POSITIONS)
            rebuilt = drift()  # from the cache again, without a warning
            assert all(torch.equal(first[name], rebuilt[name]) for name in POSITIONS)


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_another_model_or_protocol_has_another_reference(adapter: Adapter, split: Split, tmp_path: Path) -> None:
    seen: set[Path] = set()
    for profile, model in ((PROFILE, "m"), (PROFILE, "n"), (replace(PROFILE, max_new_tokens=9), "m")):
        before = {path: path.read_bytes() for path in files_in(tmp_path)}
        make_reference(adapter, split, profile, cache=tmp_path, model_digest=model)
        assert {path: path.read_bytes() for path in before} == before
        assert len(files_in(tmp_path)) >= len(seen) + 2  # responses, and at least a batch of logits
        seen = set(files_in(tmp_path))


def test_the_protocol_is_everything_that_numbers_depend_on(adapter: Adapter, split: Split) -> None:
    other_prompts = Split("tune", split.prompts[:-1])
    report = Split("report", split.prompts)
    polite = replace(adapter, system_prompt="Be polite.")
    template = copy.copy(adapter.tokenizer)
    template.chat_template = f"{template.chat_template} "
    digests = [
        protocol_digest(adapter, split, PROFILE),
        protocol_digest(adapter, split, replace(PROFILE, max_new_tokens=9)),
        protocol_digest(adapter, split, replace(PROFILE, markers=("no",))),
        protocol_digest(adapter, split, replace(PROFILE, empty_is="refuse")),
        protocol_digest(adapter, split, replace(PROFILE, kld_positions="first")),
        protocol_digest(adapter, split, replace(PROFILE, profile="other")),
        protocol_digest(polite, split, PROFILE),
        protocol_digest(replace(adapter, tokenizer=template), split, PROFILE),
        protocol_digest(adapter, other_prompts, PROFILE),
        protocol_digest(adapter, report, PROFILE),
    ]
    assert len(set(digests)) == len(digests)
    faster = replace(PROFILE, batch_size=1, n_bootstrap=200)
    assert protocol_digest(adapter, split, faster) == digests[0]
    assert measure(adapter, split, PROFILE).protocol == digests[0]


def test_batches_of_another_size_measure_the_same(
    adapter: Adapter, split: Split, reference: Reference, plans: list[EditPlan]
) -> None:
    whole = measure(adapter, split, PROFILE, plan=plans[1], reference=reference)
    small = measure(adapter, split, replace(PROFILE, batch_size=3), plan=plans[1], reference=reference)
    for name, estimate in whole.estimates.items():
        assert math.isclose(small[name], estimate.value, abs_tol=1e-5, rel_tol=1e-4), name
