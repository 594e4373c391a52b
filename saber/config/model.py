"""Which model is edited, and the organism that stands in for one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.config.strict import STRICT
from saber.vocabulary import OrganismFamily


@dataclass(frozen=True, config=STRICT)
class ModelConfig:
    """Which model, and how it is loaded: ``path`` is a folder or a hub id, or ``organism``.

    ``quantise=4bit`` loads it through bitsandbytes for the search; export bakes into the full dtype all the same.
    ``device`` is one device (``auto``, ``cpu``, ``cuda:1``). For a model larger than that, ``device_map`` (``auto``,
    ``balanced``, ``balanced_low_0``, ``sequential``, or where each part goes) spreads it over all GPUs, main memory and
    ``offload_folder``, within ``max_memory`` by device (``{gpu0: 40GiB, cpu: 100GiB}``).
    """

    path: str
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    quantise: Literal["none", "4bit"] = "none"
    system_prompt: str | None = None
    trust_remote_code: bool = False
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | dict[str, str | int] | None = None
    max_memory: dict[str, str] | None = None
    offload_folder: str | None = None
    attn_implementation: str | None = None


@dataclass(frozen=True, config=STRICT)
class OrganismConfig:
    """The embedded organism: its architecture and language, the seed of its prompts and weights, its folder."""

    family: OrganismFamily = "gemma4"
    seed: int = Field(default=0, ge=0)
    out: str = "sweeps/_organism/seed${organism.seed}"
