"""Heretic as a worker: its own code from loading to its objective, stopped where it would begin to search.

    <heretic's python> benchmarks/peers/heretic_worker.py ORGANISM [--tokens 32] [--batch-size 0] [--n-harmful 96] ...

``heretic.main.run`` is called as its command line calls it, on a ``config.toml`` with the organism's prompts. The one
change is that ``study.optimize`` waits for requests instead of running all trials at once, so that what a trial does
is Heretic's own objective with its own sampler, storage, reset, abliteration and evaluation. Requests:

    {"run": 5}                       five trials that Heretic's sampler chooses
    {"run": 1, "given": [{...}]}     the same with parameters by Optuna name, such as attn.o_proj.max_weight
    {"run": 5, "save": "folder"}     and the edited weights of each as folder/<trial>.safetensors, by the names they
                                     have in the organism's own state dict
    {"run": 5, "respond": "report"}  and the greedy responses to that split's harmful prompts
    {"batch_size": 96}               evaluate in batches of so many prompts from now on
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from adapted import edited_weights
from lines import Answer, Request, claim_stdout, prompts_of, serve

answers = claim_stdout()

import optuna  # noqa: E402
import torch  # noqa: E402
from heretic import main as heretic_main  # noqa: E402
from heretic.utils import Prompt  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

SETS = {
    "good_prompts": ("probe", "harmless", "n_probe"),
    "bad_prompts": ("probe", "harmful", "n_probe"),
    "good_evaluation_prompts": ("tune", "harmless", "n_harmless"),
    "bad_evaluation_prompts": ("tune", "harmful", "n_harmful"),
}


def prompts_for(name: str, options: argparse.Namespace) -> list[str]:
    """The prompts of one of Heretic's four sets; drift is measured on capability prompts too where asked."""
    split, kind, size = SETS[name]
    texts = prompts_of(options.organism, split, kind, getattr(options, size))
    if name == "good_evaluation_prompts" and options.drift_on_capability:
        texts += prompts_of(options.organism, split, "capability")
    return texts


def write_settings(options: argparse.Namespace, folder: Path) -> None:
    """Heretic's ``config.toml``: the organism, its prompts, a token limit, the system prompt; the rest is default."""
    settings: dict[str, Any] = {
        "model": str(options.organism),
        "system_prompt": options.system_prompt,  # it always sends a turn; the organism's template drops an empty one
        "max_response_length": options.tokens,
        "batch_size": options.batch_size,
        "n_trials": options.trials,
        "n_startup_trials": options.startup_trials,
        "seed": options.seed,
        "study_checkpoint_dir": str(folder / "checkpoints"),
    }
    if not options.find_prefix:
        settings["response_prefix"] = ""  # what it finds by itself on the organism; saves its search for one
    if options.dtype is not None:
        settings["dtypes"] = [options.dtype]
    if options.markers is not None:
        settings["refusal_markers"] = json.loads(options.markers.read_text(encoding="utf-8"))
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    for name in SETS:
        path = folder / f"{name}.txt"
        path.write_text("\n".join(prompts_for(name, options)) + "\n", encoding="utf-8")
        lines += [f"[{name}]", f"dataset = {json.dumps(str(path))}"]
    (folder / "config.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Served:
    """Heretic's study at the point where it would search: trials are run as they are asked for."""

    def __init__(self, study: optuna.Study, options: argparse.Namespace) -> None:
        self.study, self.options = study, options
        self.optimize = study.optimize

    def until_closed(self, objective: Any, **_: Any) -> None:
        """Stand in for ``study.optimize``."""
        inner = inspect.getclosurevars(objective).nonlocals["objective"]
        held = inspect.getclosurevars(inner).nonlocals
        self.objective, self.model, self.evaluator = objective, held["model"], held["evaluator"]
        self.settings = self.evaluator.settings
        ready = {
            "batch_size": self.settings.batch_size,
            "base_refusals": self.evaluator.base_refusals,
            "n_harmful": len(self.evaluator.bad_prompts),
            "n_harmless": len(self.evaluator.good_prompts),
            "threads": torch.get_num_threads(),
            "row_normalization": self.settings.row_normalization.value,
            "response_prefix": self.settings.response_prefix,
            "n_startup_trials": self.settings.n_startup_trials,
            "sampler": type(self.study.sampler).__name__,
        }
        serve(answers, ready, self.handle)
        raise SystemExit(0)

    def handle(self, request: Request) -> Answer:
        """Run trials, or change the batch size."""
        if "batch_size" in request:
            self.settings.batch_size = int(request["batch_size"])
            return {"batch_size": self.settings.batch_size}
        for parameters in request.get("given", []):
            self.study.enqueue_trial(parameters)
        rows: list[dict[str, Any]] = []

        def after(_study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            rows.append(self.row(trial, request))

        started = time.perf_counter()
        self.optimize(self.objective, n_trials=int(request["run"]), callbacks=[after])
        return {"seconds": time.perf_counter() - started, "trials": rows}

    def row(self, trial: optuna.trial.FrozenTrial, request: Request) -> dict[str, Any]:
        """What a trial gave; the model is still edited by it, until the next one resets it."""
        assert trial.duration is not None
        row = {"number": trial.number, "seconds": trial.duration.total_seconds(), "params": trial.params}
        row |= {name: trial.user_attrs[name] for name in ("refusals", "kl_divergence", "direction_index", "parameters")}
        if "save" in request:
            path = Path(request["save"]) / f"{trial.number}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(edited_weights(self.model.model), path)
            row["weights"] = str(path)
        if "respond" in request:
            texts = prompts_of(self.options.organism, request["respond"], "harmful")
            prompts = [Prompt(system=self.options.system_prompt, user=text) for text in texts]
            row["responses"] = self.model.get_responses_batched(prompts, skip_special_tokens=True)
        return row


def main() -> None:
    """Let Heretic run up to its search, then serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("organism", type=Path)
    parser.add_argument("--n-probe", type=int, help="probe prompts of each kind, all by default")
    parser.add_argument("--n-harmful", type=int, help="tune prompts, all by default")
    parser.add_argument("--n-harmless", type=int, help="tune prompts, all by default")
    parser.add_argument("--drift-on-capability", action="store_true", help="good prompts: harmless and capability ones")
    parser.add_argument("--dtype", help="such as bfloat16; its own choice by default, the dtype of the weights")
    parser.add_argument("--find-prefix", action="store_true", help="let it look for a common prefix of the replies")
    parser.add_argument("--markers", type=Path, help="a JSON list of refusal substrings, Heretic's own 33 by default")
    parser.add_argument("--system-prompt", default="", help="Heretic's own is: You are a helpful assistant.")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=0, help="0 lets Heretic choose")
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--startup-trials", type=int, default=60, help="random ones first: Heretic's default is 60")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.organism = options.organism.resolve()
    options.markers = options.markers and options.markers.resolve()
    torch.set_num_threads(options.threads)
    create_study = optuna.create_study

    def served_study(*args: Any, **kwargs: Any) -> optuna.Study:
        study = create_study(*args, **kwargs)
        setattr(study, "optimize", Served(study, options).until_closed)  # noqa: B010 - Heretic calls it
        return study

    optuna.create_study = served_study
    with tempfile.TemporaryDirectory() as folder:
        write_settings(options, Path(folder))
        os.chdir(folder)
        sys.argv = ["heretic"]
        heretic_main.run()


if __name__ == "__main__":
    main()
