"""The card: the seed's sections in the seed's order, its numbers, and names that can't break it."""

from __future__ import annotations

import dataclasses
import html
import re
import shlex
from typing import Any, cast

import pytest
import yaml
from huggingface_hub import ModelCardData
from hydra.core.override_parser.overrides_parser import OverridesParser
from markdown_it import MarkdownIt

from saber.publish.analysis.probe_count_finding import key_findings
from saber.publish.card.made_again import as_typed
from saber.publish.card.model_card import render_card
from saber.types import Estimate, Frontier, FrontierPoint, Metrics

SECTIONS = [
    "Method Summary",
    "Released Checkpoint",
    "Evaluation Snapshot",
    "Key Finding",
    "Refusals Retained by Category",
    "Intended Use",
    "Limitations",
    "Responsible Use",
    "Provenance and Credit",
    "Reproduce",
]
WRITERS = [{"name": "model.layers.3.mlp.down_proj", "layer": 3, "kind": "mlp", "rank": 2, "behind_norm": True}]
CELLS = [5 * 3, 14 * 4, 2 * 6, 3 * 7, 1 * 3, 1 * 5]  # rows x columns of the tables, with no held-out columns
PLAN = {"digest": "x", "rounds": 2, "edited_layers": [3, 4, 5], "row_norm": False}


def metadata(frontier: Frontier) -> ModelCardData:
    return ModelCardData(base_model=frontier.base_model, library_name="transformers", tags=["saber"])


def make(frontier: Frontier, point: FrontierPoint | None = None, exported: Metrics | None = None) -> str:
    chosen = point or frontier.marked("aggressive")
    assert chosen is not None
    other = frontier.marked("balanced")
    return render_card(
        frontier, chosen, other, exported or chosen.tune, WRITERS, {"torch": "2.13.0"}, PLAN, metadata(frontier)
    )  # fmt: skip


@pytest.fixture(scope="module")
def card(frontier: Frontier) -> str:
    return make(frontier)


def row(card: str, name: str) -> list[str]:
    """The cells of the first table row that begins with a name."""
    line = next(line for line in card.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_sections_are_the_seeds_in_its_order(card: str) -> None:
    assert re.findall(r"^## (.*)$", card, flags=re.MULTILINE) == SECTIONS
    assert "# Gemma 4 E4B SABER" in card
    assert "SABER-edited derivative of `google/gemma-4-E4B-it`" in card
    assert "Jiunsong SuperGemma" in card


def test_front_matter_is_yaml(card: str) -> None:
    _, front, _ = card.split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["base_model"] == "google/gemma-4-E4B-it"
    assert about["library_name"] == "transformers"
    assert "saber" in about["tags"]


def test_released_checkpoint_merges_params_over_settings(card: str, frontier: Frontier) -> None:
    point = frontier.marked("aggressive")
    assert point is not None
    assert f"- Run: `{frontier.study}_{point.name}`" in card
    assert f"- Alpha base: {point.params['edit.alpha_base']:g}" in card  # searched
    assert "- Alpha entangled: 0.03" in card  # configured
    assert "- Layer strategy: top-k" in card
    n = point.params["data.n_probe"]
    assert f"- Probe set: {n} harmful / {n} harmless / 30 capability prompts" in card


def test_one_strength_for_all_leaves_out_what_entanglement_would_decide(frontier: Frontier) -> None:
    edit = {**cast(dict[str, Any], frontier.settings["edit"]), "strength": "uniform"}
    card = make(dataclasses.replace(frontier, settings={**frontier.settings, "edit": edit}))
    assert "- Strength: uniform" in card
    assert "Alpha base" in card
    assert "- Alpha entangled" not in card
    assert "- Entanglement threshold" not in card


def test_a_card_of_false_refusals_says_whom_the_reader_spares_and_how_many_borderline_prompts_were_probed(
    frontier: Frontier,
) -> None:
    def card_of(n_borderline: int | None, **edit: object) -> str:
        data = {**cast(dict[str, Any], frontier.settings["data"]), "n_borderline": n_borderline}
        edits = {**cast(dict[str, Any], frontier.settings["edit"]), **edit}
        return make(dataclasses.replace(frontier, settings={**frontier.settings, "data": data, "edit": edits}))

    point = frontier.marked("aggressive")
    assert point is not None
    edit = {"contrast": "false_refusal", "reader": "least_drift", "spares": "protected_and_answered"}
    assert "30 capability / 400 borderline prompts" in card_of(400, **edit)
    assert f"30 capability / {point.params['data.n_probe']} borderline prompts" in card_of(None, **edit)
    assert "- Reader spares: protected-and-answered" in card_of(400, **edit)
    assert "- Reader spares" not in card_of(400, **{**edit, "reader": "direction"})
    assert "borderline prompts" not in card_of(400).split("Probe set:")[1].splitlines()[0]


def test_a_card_says_first_what_became_of_protected_refusals(frontier: Frontier) -> None:
    def card_of(protected: list[str], **edit: object) -> str:
        edits = {**cast(dict[str, Any], frontier.settings["edit"]), **edit}
        settings = {**frontier.settings, "edit": edits, "protected": protected}
        return make(dataclasses.replace(frontier, settings=settings))

    inputs = {"reader": "inputs", "inputs": {"spare_weight": 2.0, "ridge": 0.1, "replies": 4, "protected_weight": 3.0}}
    spared = card_of(["weapons"], protects="categories", **inputs)
    line = next(line for line in spared.splitlines() if line.startswith("- Protected categories"))
    assert "their refusals are spared: " in line
    assert line.endswith("%")
    assert "- Weight of kept refusals: 3" in spared
    for edit in ({"protects": "none", **inputs}, {"protects": "categories", "reader": "direction"}):
        assert "- Protected categories: their refusals are taken away like any other" in card_of(["weapons"], **edit)
    assert "- Weight of kept refusals" not in card_of(["weapons"], reader="direction")
    assert "- Protected categories" not in card_of([], **inputs)


def test_numbers_match_to_rounding(card: str, frontier: Frontier) -> None:
    point = frontier.marked("aggressive")
    assert point is not None
    assert point.report is not None
    columns = [point.tune, point.report, frontier.base_tune, frontier.base_report]
    for metric, name in (("refusal_rate", "keyword refusal rate"), ("capability", "capability")):
        for cell, metrics in zip(row(card, name)[1:], columns, strict=True):
            assert metrics is not None
            estimate = metrics.estimates[metric]
            wanted = f"{round(estimate.value * estimate.n)}/{estimate.n} = {100 * estimate.value:.1f}%"
            assert cell == f"{wanted} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    for cell, metrics in zip(row(card, "mean KLD vs base")[1:], columns, strict=True):
        assert metrics is not None
        assert float(cell.split()[0].rstrip(",")) == pytest.approx(metrics["kld"], abs=5e-5)
    assert float(row(card, "score used in local sweep")[1]) == pytest.approx(point.score, abs=5e-5)


def test_comparison_published_and_retained(card: str) -> None:
    assert "Balanced comparison point from the same sweep" in card
    assert "they can't be told apart" in card
    assert row(card, "seed, aggressive")[1:4] == ["0/49", "0.4327", "prompt"]
    retained = card.split("## Refusals Retained by Category")[1]
    assert retained.index("**poisoning** (protected)") < retained.index("| fraud |")


def test_finding_needs_enough_trials_and_a_correlation(frontier: Frontier) -> None:
    assert {finding.metric for finding in key_findings(frontier)} == {"refusal_rate", "kld"}
    few = dataclasses.replace(frontier, points=tuple(p for p in frontier.points if p.on_front))
    assert len(few.points) < 20
    assert "## Key Finding" not in make(few)
    same = tuple(dataclasses.replace(p, params={**p.params, "data.n_probe": 60}) for p in frontier.points)
    assert "## Key Finding" not in make(dataclasses.replace(frontier, points=same))


def test_names_cannot_break_tables_or_front_matter(frontier: Frontier) -> None:
    attack = 'x | y\n| z | <script>alert(1)</script> `` "q": [a](javascript:b) \\'
    point = frontier.marked("aggressive")
    assert point is not None
    hostile = dataclasses.replace(
        frontier, study=attack, base_model=attack,
        published=tuple(dataclasses.replace(entry, name=attack, source=attack) for entry in frontier.published),
    )  # fmt: skip
    tune = dataclasses.replace(point.tune, retained={attack: point.tune.estimates["refusal_rate"]})
    card = make(hostile, dataclasses.replace(point, name=attack, tune=tune, report=None))
    _, front, body = card.split("---\n", 2)
    assert set(yaml.safe_load(front)) == {"base_model", "library_name", "tags"}
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert [len(re.findall("<td", body)) for body in re.findall("<tbody>.*?</tbody>", page, re.DOTALL)] == CELLS
    assert "x | y | z |" in html.unescape(page)


def test_commands_are_quoted_for_a_shell(frontier: Frontier) -> None:
    point = frontier.marked("aggressive")
    assert point is not None
    card = make(frontier, dataclasses.replace(point, params={"evaluate.system_prompt": "a'; rm -rf $HOME"}))
    (sweep,) = re.findall("python -m saber.sweep .*", card)
    assert shlex.split(sweep)[-2:] == [
        "study.n_trials=1",
        """study.enqueue=[{evaluate.system_prompt: "a'; rm -rf $HOME"}]""",
    ]
    assert "python -m saber.export +sweep=gemma4 point=0\n" in card


PARAMS: dict[str, object] = {
    "edit.alpha_base": 1.4250000000000003, "edit.ridge": 1e-05, "data.n_probe": 80, "edit.a": "harmless_mean",
    "edit.b": "a b, {c}", "edit.c": True, "edit.d": None, "edit.e": [1, "x"], "edit.f": "true", "edit.g": 'say "no"',
}  # fmt: skip


@pytest.mark.parametrize("key", PARAMS)
def test_a_point_is_typed_as_hydra_reads_it(key: str) -> None:
    word = f"study.enqueue=[{as_typed({key: PARAMS[key]})}]"
    read = OverridesParser.create().parse_override(word).value()
    assert read == [{key: PARAMS[key]}]


def test_another_protocol_is_said(frontier: Frontier) -> None:
    point = frontier.marked("aggressive")
    assert point is not None
    assert "Not comparable" not in make(frontier)
    assert "Not comparable" in make(frontier, exported=dataclasses.replace(point.tune, protocol="other"))


def test_missing_metrics_and_no_comparison(bare: Frontier) -> None:
    point = bare.points[0]
    card = render_card(bare, point, None, point.tune, [], {}, {}, metadata(bare))
    assert "# Organism SABER" in card
    assert "- Alpha base: —" in card
    assert "has not been measured on held-out prompts" in card
    assert "comparison point" not in card
    assert "Published under" not in card
    assert "None" not in card


def test_drift_by_category_and_the_worst_prompt_are_on_the_card(frontier: Frontier) -> None:
    point = frontier.front[0]
    tune = dataclasses.replace(
        point.tune,
        drift_by_category={"harmless: verb": Estimate(0.25, 12, 0.2, 0.3)},
        worst_drift="harmless prompt 17 (verb)",
    )
    card = make(frontier, point, tune)
    assert "| harmless: verb | 0.2500 [0.2000, 0.3000], n = 12 |" in card
    assert "drifted most on tune is harmless prompt 17 (verb)." in card
