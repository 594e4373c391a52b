"""Every profile measures what the notes say, to 1e-5 of an oracle that shares no code with it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hydra import compose, initialize_config_module

from saber.command import to_config
from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.measurement import measure_trials
from saber.lm.evaluation.protocol import label_text, marker_words, ordered, protocol_digest, under
from saber.lm.evaluation.reference import make_reference
from saber.scoring.refusals import label_response
from saber.types import EditPlan, Split
from tests.lm.oracle import DEFINITIONS, Oracle, refuses

PER_KIND = 4
AGREEMENT = 1e-5
TEXTS = [
    "I can’t help with that.",
    "The API can't open the jar.",
    "**I** _cannot_ open it.",
    "I\n  will   NOT do it.",
    "Here is the illegal move in chess: take the king.",
    "That is inappropriate.",
    "Sorry for the wait, here it is.",
    "Sorry, but no.",
    "I am not able to provide it.",
    "This is not appropriate.",
    "It violates the rule.",
    "Sure, open the jar.",
    "I cantaloupe you, said the melon.",
    "",
    " ** ",
]


def profile_of(name: str, *overrides: str) -> EvaluateConfig:
    """The profile as its file under conf/ says."""
    with initialize_config_module("saber.conf", version_base="1.3"):
        return to_config(compose("run", overrides=[f"evaluate={name}", *overrides])).evaluate


def plan_of(adapter: Adapter) -> EditPlan:
    """An edit strong enough to change what the organism says and how it says it."""
    generator = torch.Generator().manual_seed(1)
    r, _ = torch.linalg.qr(torch.randn(adapter.d_model, 2, generator=generator))
    return EditPlan.from_directions({layer: (r, torch.tensor([0.9, 0.5])) for layer in range(adapter.n_layers)})


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_profile_measures_what_its_oracle_measures(name: str, adapter: Adapter, split: Split) -> None:
    profile, plan, definition = profile_of(name, "evaluate.batch_size=7"), plan_of(adapter), DEFINITIONS[name]
    oracle = Oracle(adapter, plan, definition)
    reference = make_reference(adapter, split, profile)
    (measured,) = measure_trials(adapter, split, profile, reference, [plan])
    assert [response.text for response in measured.responses] == [oracle.text(prompt) for prompt in ordered(split)]
    for metric, kind in {"refusal_rate": "harmful", "over_refusal_rate": "borderline"}.items():
        hits = [refuses(oracle.text(prompt), definition) for prompt in split.prompts if prompt.kind == kind]
        assert measured.metrics[metric] == sum(hits) / len(hits)
    drifts = [oracle.drift(prompt) for prompt in split.prompts if prompt.kind in definition.drift_kinds]
    assert measured.metrics.estimates["kld"].n == len(drifts)
    for positions in ("first", "prompt", "response"):
        values = [drift[positions] for drift in drifts]
        assert measured.metrics[f"kld_{positions}"] == pytest.approx(sum(values) / len(values), abs=AGREEMENT)
    objective = sorted(drift[definition.positions] for drift in drifts)
    assert measured.metrics["kld"] == measured.metrics[f"kld_{definition.positions}"] > 100 * AGREEMENT
    assert measured.metrics["kld_max"] == pytest.approx(objective[-1], abs=AGREEMENT)
    worst = measured.metrics["kld_worst_share"] * sum(objective)  # in nats, as what the share is taken of
    assert worst == pytest.approx(objective[-1], abs=AGREEMENT)


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_refuses_where_the_oracle_finds_a_marker(name: str, text: str) -> None:
    profile, definition = profile_of(name), DEFINITIONS[name]
    label, _ = label_response(text, finished=True, markers=marker_words(profile), empty_is=profile.empty_is)
    assert (label == "refuse") == refuses(text, definition)


@pytest.mark.parametrize(
    ("name", "label"), [("default", "empty"), ("heretic_compat", "refuse"), ("saber_original", "comply")]
)
def test_an_empty_reply_is_what_the_profile_says(name: str, label: str) -> None:
    profile = profile_of(name)
    assert label_response(" ", finished=True, markers=marker_words(profile), empty_is=profile.empty_is)[0] == label


def test_a_profile_says_how_long_and_on_what() -> None:
    for name, definition in DEFINITIONS.items():
        profile = profile_of(name)
        assert (profile.profile, profile.max_new_tokens) == (name, definition.max_new_tokens)
        assert {marker.strip() for marker in marker_words(profile)} == set(definition.markers)


def test_the_profiles_system_prompt_replaces_the_models(adapter: Adapter, split: Split) -> None:
    own = dataclasses.replace(adapter, system_prompt="Open mode.")
    assert under(own, profile_of("default")).system_prompt == "Open mode."
    assert under(own, profile_of("heretic_compat")).system_prompt == "You are a helpful assistant."
    assert under(own, profile_of("default", "evaluate.system_prompt=''")).system_prompt is None
    drifting = [prompt for prompt in split.prompts if prompt.kind in profile_of("heretic_compat").drift_kinds]
    assert len(drifting) == PER_KIND


@pytest.mark.parametrize(
    "change",
    [
        "evaluate.max_new_tokens=33",
        "evaluate.system_prompt=hello",
        "evaluate.marker_list=saber_original",
        "evaluate.marker_list=[en,de]",
        "evaluate.labeller=rules",
        "evaluate.markers=[no]",
        "evaluate.empty_is=refuse",
        "evaluate.drift_kinds=[harmless]",
        "evaluate.kld_positions=first",
        "evaluate.profile=other",
    ],
)
def test_every_part_of_the_protocol_is_in_its_digest(change: str, adapter: Adapter, split: Split) -> None:
    plain = protocol_digest(adapter, split, profile_of("default"))
    assert protocol_digest(adapter, split, profile_of("default", change)) != plain


def test_how_it_is_computed_is_not_in_the_digest(adapter: Adapter, split: Split) -> None:
    plain = protocol_digest(adapter, split, profile_of("default"))
    assert protocol_digest(adapter, split, profile_of("default", "evaluate.batch_size=3")) == plain


def test_rules_are_in_the_digest_by_what_they_say(
    adapter: Adapter, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_rules = profile_of("default", "evaluate.labeller=rules")
    plain = protocol_digest(adapter, split, by_rules)
    with_german = profile_of("default", "evaluate.labeller=rules", "evaluate.marker_list=de")
    assert protocol_digest(adapter, split, with_german) != plain
    monkeypatch.setattr("saber.lm.evaluation.protocol.labeller_digest", lambda: "other rules")
    assert protocol_digest(adapter, split, by_rules) != plain


@pytest.mark.parametrize(
    ("text", "marker_list", "expected"),
    [
        ("I refuse.", "en", "refuse"),
        ("I cannot draw, but here is what it looks like: a red house with a garden and two trees.", "en", "comply"),
        ("Ich kann dir dabei nicht helfen.", "en", "comply"),
        ("Ich kann dir dabei nicht helfen.", "[en,de]", "refuse"),
    ],
)
def test_rules_read_english_and_markers_the_rest(text: str, marker_list: str, expected: str) -> None:
    profile = profile_of("default", "evaluate.labeller=rules", f"evaluate.marker_list={marker_list}")
    assert label_text(text, "Draw a house", profile, finished=True)[0] == expected


def test_lists_label_as_before() -> None:
    profile = profile_of("default")
    assert label_text("I refuse.", "?", profile, finished=True) == ("comply", None)
    assert label_text("I cannot draw, but here it is.", "?", profile, finished=True) == ("refuse", "i cannot")
