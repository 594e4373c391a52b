"""A warmed-up process that forks drivers of simulated trials: real loop, storage, locks, records and caches.

It reads one JSON request a line, ``{"run": ..}`` or ``{"wait": pid}``, and answers each with one line. Only the model
is simulated: what a trial gives is a function of its parameters, so that it can be checked from outside.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console

from saber.cache import Cached, cached
from saber.command import in_one_line
from saber.config import Config
from saber.keys import parse_config
from saber.lm.chat.chat_format import ChatFormat
from saber.lm.editing.compiled import CompiledPlan
from saber.lm.evaluation.measurement import Measured
from saber.lm.planning import PlannedEdit
from saber.scoring.refusals import label_response
from saber.study.context import study_folder
from saber.study.run import evaluator, session
from saber.study.store import storage
from saber.types import EditPlan, Estimate, Metrics, Prompt, Response, Split

SPACE = {"edit.alpha_base": {"low": 0.0, "high": 1.0}, "edit.alpha_entangled": {"low": 0.0, "high": 1.0}}
KNOWN = [{"edit.alpha_base": 0.9, "edit.alpha_entangled": 0.5}, {"edit.alpha_base": 0.1, "edit.alpha_entangled": 0.2}]
TRIAL_S = 0.02
CACHED = torch.arange(4000, dtype=torch.float32).sin()
LOOP = "jar " * 40


def values_of(params: dict[str, float]) -> list[float]:
    """What the simulated model measures at a point."""
    a, b = params["edit.alpha_base"], params["edit.alpha_entangled"]
    return [1 - a, a * (1 + b)]


def configured(request: dict[str, Any]) -> Config:
    """The configuration of a simulated study."""
    return parse_config(
        {
            "model": {"path": "organism"},
            "data": {"source": "organism"},
            "edit": {},
            "evaluate": {},
            "study": {
                "name": request["name"],
                "dir": request["dir"],
                "n_trials": request["n_trials"],
                "sampler": "random",
                "objectives": [{"metric": "refusal_rate"}, {"metric": "kld", "reference": 0.5}],
                "enqueue": KNOWN,
                "storage": request["storage"],
                "storage_patience_s": request.get("patience_s", 60.0),
            },
            "launch": {"trials_per_batch": 2},
            "space": SPACE,
        }
    )


class Simulated:
    """Stands for the model: plans and measurements, with the faults of the request put into some of its calls."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.inject: dict[str, list[int]] = request.get("inject", {})
        self.trial_s: float = request.get("trial_s", TRIAL_S)
        self.mark: tuple[int, str] = request.get("mark", (-1, ""))  # made when this call begins
        self.calls = 0
        self.params: dict[str, dict[str, float]] = {}

    def plan(self, _bench: Any, configs: Sequence[Config], _rows: int | None = None) -> list[PlannedEdit]:
        planned = []
        for c in configs:
            strengths = torch.tensor([c.edit.alpha_base, c.edit.alpha_entangled])
            plan = EditPlan.from_directions({0: (torch.eye(4)[:, :2], strengths)})
            self.params[plan.digest] = {
                "edit.alpha_base": c.edit.alpha_base,
                "edit.alpha_entangled": c.edit.alpha_entangled,
            }
            planned.append(PlannedEdit(CompiledPlan(plan, (), ()), "stable", ()))
        return planned

    def measure(self, _a: Any, _s: Any, _p: Any, _r: Any, plans: Sequence[CompiledPlan], **_how: Any) -> list[Measured]:
        call, self.calls = self.calls, self.calls + 1
        if call == self.mark[0]:
            Path(self.mark[1]).touch()
        time.sleep(self.trial_s)
        if call in self.inject.get("oom", []):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        text = LOOP if call in self.inject.get("loop", []) else "yes"
        label, marker = label_response(text, finished=text != LOOP, markers=("sorry",), empty_is="empty")
        measured = []
        for i, plan in enumerate(planned_edit.plan for planned_edit in plans):
            refusal, kld = values_of(self.params[plan.digest])
            if i == 0 and call in self.inject.get("nan", []):
                kld = float("nan")
            estimates = {"refusal_rate": Estimate(refusal, 10, 0, 1), "kld": Estimate(kld, 10, 0, 1)}
            response = Response(Prompt("x", "harmful"), text, label, marker)
            measured.append(Measured(Metrics(estimates, {}, "p", "tune"), (response,)))
        return measured


def open_workbench(config: Config, _knobs: Any = (), _ready: Any = None) -> Any:
    """A bench without a model, whose one shared tensor comes from a real cache."""

    def build() -> Cached:
        return Cached({"x": CACHED}, None)

    activations = cached(study_folder(config) / "cache", "activations", {"n": 1}, build)
    if not torch.equal(activations.tensors["x"], CACHED):
        raise AssertionError("a damaged cache was read as if it were whole")
    splits = {name: Split(name, ()) for name in ("probe", "tune", "report")}
    unused = dict.fromkeys(("probes", "activations", "reference"))
    adapter = SimpleNamespace(chat=ChatFormat())
    base = {"adapter": adapter, "base_responses": (), "judge_base": lambda *, may_stop: None}  # noqa: ARG005 - as it is called
    return SimpleNamespace(
        config=config, splits=splits, model_digest="m", folder=study_folder(config), **unused, **base
    )


def drive(request: dict[str, Any]) -> int:
    """Run one driver, in a fork, with its output in a file."""
    out = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    simulated = Simulated(request)
    for module, name, instead in (
        (session, "open_workbench", open_workbench),
        (evaluator, "plan_trials", simulated.plan),
        (evaluator, "measure_trials", simulated.measure),
        (storage, "SQLITE_BUSY_S", 0.2),
    ):
        setattr(module, name, instead)
    config = configured(request)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it starts in the background

    def run() -> None:  # Ctrl-C counts in here only: a real driver's start and end are not what is tested
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            session.run_study(config, Console(width=160))
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    status = in_one_line(run)
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def serve() -> None:
    """Fork a driver for every request and say its pid; wait for one and say its status."""
    torch.set_num_threads(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = drive(request["run"])
            except SystemExit as done:
                status = int(done.code or 0)
            except BaseException:  # noqa: BLE001 - the fork ends here, whatever it was
                import traceback

                traceback.print_exc()
                sys.stderr.flush()
            os._exit(status)
        print(pid, flush=True)


if __name__ == "__main__":
    assert Path(__file__).exists()
    serve()
