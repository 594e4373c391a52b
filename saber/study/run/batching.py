"""How many trials share a batch: as many as asked for, or what a calibration finds fastest on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import optuna
import torch

from saber.console import announce
from saber.keys import with_values
from saber.study.context import Workbench
from saber.study.run.forecast import calibrations, fastest
from saber.study.search.space import Knob

REMEMBERED = "trials_per_batch"


def with_batch(study: optuna.Study, bench: Workbench, knobs: Sequence[Knob]) -> Workbench:
    """The workbench with a number for ``launch.trials_per_batch=auto``; the study remembers it by machine.

    Sizes are doubled until the next one does not fit into memory or is no faster.
    """
    if not _is_auto(bench):
        return bench
    known, machine = dict(study.user_attrs.get(REMEMBERED, {})), machine_of(bench)
    if machine not in known:
        announce(f"launch.trials_per_batch=auto: measuring how many trials at once are fastest on {machine}")
        known[machine] = fastest(calibrations(bench, knobs, until_slower=True)).trials_per_batch
        study.set_user_attr(REMEMBERED, known)
        announce(f"launch.trials_per_batch={known[machine]} is fastest, and remembered")
    return _with(bench, known[machine])


def with_known_batch(study: optuna.Study, bench: Workbench) -> Workbench:
    """The same to look at a study or to export from it: nothing is measured or written.

    Where this machine never drove the study, the least that any machine found is taken, or one trial at a time.
    """
    if not _is_auto(bench):
        return bench
    known = dict(study.user_attrs.get(REMEMBERED, {}))
    return _with(bench, known.get(machine_of(bench), min(known.values(), default=1)))


def _is_auto(bench: Workbench) -> bool:
    return bench.config.launch.trials_per_batch == "auto"


def _with(bench: Workbench, n: int) -> Workbench:
    return replace(bench, config=with_values(bench.config, {"launch.trials_per_batch": n}))


def machine_of(bench: Workbench) -> str:
    """What decides the speed: the GPU, or the processor with its threads."""
    device = bench.adapter.device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    n = torch.get_num_threads()
    return f"{device.type}, {n} thread{'s' if n > 1 else ''}"
