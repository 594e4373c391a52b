"""The typed configuration: what every key means, its bounds and its unit, checked before anything runs."""

from saber.config.data import DataConfig, PromptSource, SplitSizes
from saber.config.edit import ComponentScale, DepthBand, EditConfig, KernelConfig, Tent
from saber.config.evaluate import EvaluateConfig, JudgeConfig
from saber.config.launch import LaunchConfig
from saber.config.model import ModelConfig, OrganismConfig
from saber.config.publish import ExportConfig, PublishedRow
from saber.config.run import Config
from saber.config.study import SAFE_NAME, ConstraintConfig, Objective, StudyConfig

__all__ = [
    "SAFE_NAME",
    "ComponentScale",
    "Config",
    "ConstraintConfig",
    "DataConfig",
    "DepthBand",
    "EditConfig",
    "EvaluateConfig",
    "ExportConfig",
    "JudgeConfig",
    "KernelConfig",
    "LaunchConfig",
    "ModelConfig",
    "Objective",
    "OrganismConfig",
    "PromptSource",
    "PublishedRow",
    "SplitSizes",
    "StudyConfig",
    "Tent",
]
