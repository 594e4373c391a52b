"""The typed configuration: what every key means, its bounds and its unit, checked before anything runs."""

from saber.config.data import DataConfig, PromptSource, SplitSizes
from saber.config.edit import EditConfig
from saber.config.launch import LaunchConfig
from saber.config.measuring import EvaluateConfig, JudgeConfig
from saber.config.model import ModelConfig, OrganismConfig
from saber.config.publish import ExportConfig, PublishedRow
from saber.config.run import Config
from saber.config.study import SAFE_NAME, ConstraintConfig, Objective, StudyConfig
from saber.options.placement_options import ComponentScale, KernelConfig, Tent
from saber.options.selection_options import DepthBand

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
