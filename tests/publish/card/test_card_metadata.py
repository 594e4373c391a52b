"""What the hub reads of a card: relation, licence, our numbers; and the picture and the table on its first screen."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from saber.config import Config, ExportConfig
from saber.publish.card.front_picture import PICTURE, front_picture
from saber.publish.card.metadata import card_metadata
from saber.publish.card.model_card import render_card
from saber.types import Frontier, FrontierPoint
from saber.vocabulary import ExportForm
from tests.commands import configured

BASE_CARD = """---
license: gemma
license_link: https://ai.google.dev/gemma/terms
language:
- en
tags:
- not-inherited
pipeline_tag: image-text-to-text
---
# Base
"""
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def config() -> Config:
    return configured(["+sweep=gemma4"])


@pytest.fixture
def point(frontier: Frontier) -> FrontierPoint:
    aggressive = frontier.marked("aggressive")
    assert aggressive is not None
    return aggressive


def exported_as(config: Config, **asked: object) -> Config:
    return dataclasses.replace(config, export=ExportConfig(**asked))  # type: ignore[arg-type] # by name


@pytest.mark.parametrize(
    ("form", "relation", "library"),
    [("merged", "finetune", "transformers"), ("adapter", "adapter", "peft"), ("gguf_adapter", "adapter", "llama.cpp")],
)
def test_front_matter_is_what_the_hub_reads(
    form: ExportForm,
    relation: str,
    library: str,
    frontier: Frontier,
    point: FrontierPoint,
    config: Config,
    tmp_path: Path,
) -> None:
    (tmp_path / "README.md").write_text(BASE_CARD)
    about = card_metadata(frontier, point, exported_as(config, format=form), point.report, tmp_path)
    card = ModelCard(render_card(frontier, point, None, point.tune, [], {}, {"format": form}, about))
    front = yaml.safe_load(card.data.to_yaml())
    assert front["base_model"] == "google/gemma-4-E4B-it"
    assert front["base_model_relation"] == relation
    assert front["library_name"] == library
    assert front["license"] == "gemma"
    assert front["license_link"] == "https://ai.google.dev/gemma/terms"
    assert front["language"] == ["en"]
    assert front["pipeline_tag"] == "image-text-to-text"
    assert "not-inherited" not in front["tags"]
    (model,) = front["model-index"]
    assert model["name"] == f"{frontier.study}_{point.name}"
    shown = {m["type"]: m["value"] for result in model["results"] for m in result["metrics"]}
    held = point.report or point.tune
    assert shown["refusal_rate"] == pytest.approx(held["refusal_rate"], abs=1e-6)
    assert shown["kld"] == pytest.approx(held["kld"], abs=1e-6)
    assert all(held.protocol in m["name"] for result in model["results"] for m in result["metrics"])


def test_a_folder_is_no_base_unless_its_id_is_given(
    frontier: Frontier, point: FrontierPoint, config: Config, tmp_path: Path
) -> None:
    local = dataclasses.replace(config, model=dataclasses.replace(config.model, path=str(tmp_path)))
    about = card_metadata(frontier, point, local, point.report, tmp_path)
    assert about.base_model is None
    assert not about.to_dict().get("base_model_relation")
    named = exported_as(local, base_model="someone/base")
    assert card_metadata(frontier, point, named, point.report, None).base_model == "someone/base"


@pytest.mark.parametrize("card", ["no front matter", "---\n: [\n---\n", "---\n- a\n---\n"])
def test_a_base_card_that_cannot_be_read_gives_no_licence(
    card: str, frontier: Frontier, point: FrontierPoint, config: Config, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text(card)
    assert card_metadata(frontier, point, config, point.report, tmp_path).license is None


def test_the_first_screen_says_what_went_and_what_is_protected(
    frontier: Frontier, point: FrontierPoint, config: Config
) -> None:
    about = card_metadata(frontier, point, config, point.report, None)
    screen = render_card(frontier, point, None, point.tune, [], {}, {}, about).split("## Method Summary")[0]
    assert "| harmful prompts refused |" in screen
    assert "| of them protected ones refused |" in screen
    assert f"]({PICTURE})" in screen
    assert "Protected, and so measured apart: " in screen or "No category of the prompts is protected." in screen


def test_the_picture_shows_the_front_and_the_point(frontier: Frontier, point: FrontierPoint) -> None:
    named = dataclasses.replace(point, name="<nh60>&")
    drawn = front_picture(frontier, named)
    assert drawn == front_picture(frontier, named)
    root = ElementTree.fromstring(drawn)
    assert len(root.findall(f"{SVG}circle")) == len(frontier.points) + 1
    assert "this point: <nh60>&" in [text.text for text in root.findall(f"{SVG}text")]
    line = root.find(f"{SVG}polyline")
    assert line is not None
    places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
    assert places == sorted(places, key=lambda place: place[0])
    assert all(0 <= x <= 720 and 0 <= y <= 400 for x, y in places)
