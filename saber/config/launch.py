"""Where trials run."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from saber.options.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class LaunchConfig:
    """Where trials run, how many share one batch, and on how many CPU threads (``None`` leaves torch its own).

    ``trials_per_batch=auto`` is what a short calibration finds fastest, the first time a study runs on a machine; it is
    done on as few prompts as ``calibration_s`` seconds allow.
    ``ray`` gives each of ``workers`` processes its model and a batch of its own, on this machine or on the cluster at
    ``address``. Each takes ``gpus_per_worker`` (``None``: one where there are any) and ``cpus_per_worker``.
    """

    kind: Literal["local", "ray"] = "local"
    trials_per_batch: Annotated[int, Field(ge=1)] | Literal["auto"] = 4
    calibration_s: float = Field(default=60.0, gt=0.0)
    threads: int | None = Field(default=None, ge=1)
    workers: int = Field(default=1, ge=1)
    address: str | None = None
    gpus_per_worker: float | None = Field(default=None, ge=0.0)
    cpus_per_worker: float = Field(default=1.0, ge=0.0)

    @property
    def batch(self) -> int:
        """How many trials share a batch, once ``auto`` has become a number."""
        assert self.trials_per_batch != "auto", "expected a workbench of with_batch"
        return self.trials_per_batch

    @model_validator(mode="after")
    def _only_ray_has_workers(self) -> Self:
        if self.kind == "local" and (self.workers > 1 or self.address is not None):
            raise ValueError("expected launch=ray for launch.workers and launch.address")
        return self
