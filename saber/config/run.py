"""The whole run, composed from the groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.config.data import DataConfig
from saber.config.edit import EditConfig
from saber.config.launch import LaunchConfig
from saber.config.measuring import EvaluateConfig, JudgeConfig
from saber.config.model import ModelConfig, OrganismConfig
from saber.config.publish import ExportConfig, PublishedRow
from saber.config.study import SAFE_NAME, StudyConfig
from saber.options.strict import STRICT
from saber.vocabulary import SplitName


@dataclass(frozen=True, config=STRICT)
class Config:
    """The whole run. ``space`` maps any key, nested or dotted, to ``{low, high, step|log}`` or ``{choices}``.

    ``saber.evaluate`` compares ``checkpoint`` with ``against``, or else with the base, on ``splits``.
    ``saber.frontier`` overlays the fronts of ``studies`` where it is given some, by their names.
    ``saber.move`` takes the study to the database ``to`` (a URL), its files to the folder ``to_dir``.
    ``overrides`` are the command line's own words, so that the next command can be written with them.
    """

    model: ModelConfig
    data: DataConfig
    edit: EditConfig
    evaluate: EvaluateConfig
    study: StudyConfig
    launch: LaunchConfig = LaunchConfig()
    export: ExportConfig = ExportConfig()
    organism: OrganismConfig = OrganismConfig()
    judge: JudgeConfig = JudgeConfig()
    published: tuple[PublishedRow, ...] = ()
    space: Mapping[str, Any] = field(default_factory=dict)
    point: str = Field(default="balanced", coerce_numbers_to_str=True)  # a trial number is read as one
    checkpoint: str | None = None
    to: str | None = None
    to_dir: str | None = None
    against: str | None = None
    studies: tuple[Annotated[str, Field(pattern=SAFE_NAME)], ...] = ()
    splits: tuple[SplitName, ...] = Field(default=("tune", "report"), min_length=1)
    overrides: tuple[str, ...] = ()
