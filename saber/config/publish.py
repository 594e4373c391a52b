"""Where points go, and the published numbers they stand beside."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.config.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class ExportConfig:
    """Where exported points go, in which form, and how far what is re-measured may be from its trial (nats, rates).

    ``merged`` is a whole checkpoint; ``adapter`` is an exact LoRA adapter of the base, where the plan has one.
    """

    dir: str = "outputs"
    format: Literal["merged", "adapter"] = "merged"
    tolerance_kld: float = Field(default=0.02, ge=0.0)
    tolerance_rate: float = Field(default=0.03, ge=0.0)


@dataclass(frozen=True, config=STRICT)
class PublishedRow:
    """A number somebody published under another protocol: shown beside ours, never mixed with them."""

    name: str
    refusals: int
    n_prompts: int
    kld_nats: float
    kld_positions: str
    source: str
    residual_refusal: float | None = None
    score: float | None = None
