"""Where trials run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.config.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class LaunchConfig:
    """Where trials run, how many share one batch, and on how many CPU threads (``None`` leaves torch its own)."""

    kind: Literal["local"] = "local"
    trials_per_batch: int = Field(default=4, ge=1)
    threads: int | None = Field(default=None, ge=1)
