"""The card's front matter as the hub reads and checks it: base, relation, licence, languages, and our numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData

from saber.config import Config
from saber.config.publish import HUB_ID
from saber.metrics import DRIFT_BY_POSITION, shown_in
from saber.publish.text.wording import label
from saber.types import Frontier, FrontierPoint, Metrics
from saber.vocabulary import ExportForm

TAGS = ("saber", "abliteration", "representation-editing", "refusal", "safety-research")
LIBRARIES: Mapping[ExportForm, str] = {"merged": "transformers", "adapter": "peft", "gguf_adapter": "llama.cpp"}
RELATIONS: Mapping[ExportForm, str] = {"merged": "finetune", "adapter": "adapter", "gguf_adapter": "adapter"}
INHERITED = ("license", "license_name", "license_link", "language", "pipeline_tag")
SHOWN = (*shown_in("compared"), *DRIFT_BY_POSITION)
FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


def card_metadata(
    frontier: Frontier, point: FrontierPoint, config: Config, report: Metrics | None, base: Path | None
) -> ModelCardData:
    """What the card of this export says to the hub; the licence is the base's own, where its card names it."""
    form = config.export.format
    base_model = hub_id(config)
    held = report or point.tune
    return ModelCardData(
        base_model=base_model,
        base_model_relation=RELATIONS[form] if base_model else None,
        library_name=LIBRARIES[form],
        tags=list(TAGS),
        model_name=f"{frontier.study}_{point.name}",
        eval_results=results(held),
        **{key: value for key, value in _of_base(base).items() if key in INHERITED},
    )


def hub_id(config: Config) -> str | None:
    """The base's id on the hub: as configured, or the path where it is one and no folder."""
    if config.export.base_model:
        return config.export.base_model
    path = config.model.path
    return path if re.fullmatch(HUB_ID, path) and not Path(path).expanduser().exists() else None


def results(metrics: Metrics) -> list[EvalResult]:
    """Our numbers, each under the name of the prompts and of the protocol that they were measured with."""
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type="saber",
            dataset_name=f"SABER {metrics.split} split",
            dataset_revision=metrics.protocol,
            metric_type=name,
            metric_name=f"{label(name)} (n={metrics.estimates[name].n}, protocol {metrics.protocol})",
            metric_value=round(metrics[name], 6),
            verified=False,
        )
        for name in SHOWN
        if name in metrics.estimates
    ]


def _of_base(folder: Path | None) -> dict[str, Any]:
    """The front matter of the base's own card, where it has one that can be read."""
    card = None if folder is None else folder / "README.md"
    if card is None or not card.is_file():
        return {}
    matter = FRONT_MATTER.match(card.read_text(encoding="utf-8", errors="replace"))
    try:
        values = yaml.safe_load(matter[1]) if matter else None
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}
