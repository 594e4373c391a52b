"""The cells of ``real_model.py`` in which a peer searches (ARA: ``real_ara.py``): Heretic 1.4.0 from its package.

Both end in weights, which are loaded over the base's and measured as they stand, under our protocol and against the
same reference. Heretic gets the template's own system turn, our markers and our drift prompts as its good ones. Of its
trials the same share is random as by default, 60 of 200: with 60, none of 40 would be searched.
ARA is searched with the same share and Heretic's sampler, TPE on refusals and on first-token KLD.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from front_heretic import measured_with
from front_methods import n_startup
from peers.lines import Worker
from real_cells import (
    KINDS,
    LEVELS,
    Cell,
    HeldOut,
    Setting,
    chosen,
    configured,
    described,
    held_out,
    keep,
    numbers,
    open_bench,
)
from safetensors.torch import load_file

from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.protocol import marker_words
from saber.study.context import Workbench, study_folder
from saber.study.run.session import calm_optuna
from saber.study.store.storage import one_driver
from saber.types import Prompt, UserError

HERE = Path(__file__).parent
WORTH_MEASURING = LEVELS[-1]  # refusals by Heretic's own count, which is ours: no point is chosen beyond
PROMPTS_AT_ONCE = 32


def on_report(bench: Workbench, side: HeldOut, folder: Path, trials: list[dict[str, Any]]) -> dict[str, Any]:
    """The chosen trials' weights on the report split."""
    return {
        str(number): numbers(
            measured_with(bench, load_file(folder / f"{number}.safetensors"), side.split, side.reference).metrics
        )
        for number in chosen(trials)
    }


def run_heretic(cell: Cell, setting: Setting, say: Callable[[str], None]) -> None:
    """Let Heretic search, measure each of its trials, and keep it all as one JSON file."""
    config = configured(cell, setting)
    calm_optuna()
    folder = study_folder(config)
    weights = folder / "weights"
    with one_driver(folder):
        bench = open_bench(config)
        answer = asked_heretic(cell, setting, folder, bench, say)
        trials = measured_trials(bench, folder, answer["trials"], say)
        side = held_out(bench)
        row = described(cell, setting, bench, side)
        report = on_report(bench, side, weights, trials)
        forget_unchosen(weights, trials)
    seconds = sum(trial["own"]["seconds"] for trial in trials)
    keep(cell, setting, row | {"trials": trials, "report": report, "n_trials": len(trials), "search_s": seconds})


def measured_trials(
    bench: Workbench, folder: Path, theirs: list[dict[str, Any]], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Heretic's trials with our numbers on tune; kept one by one, so that a cell that is cut goes on."""
    n_harmful = len(bench.splits["tune"].of("harmful"))
    kept = folder / "measured.json"
    known: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    trials = []
    for trial in sorted(theirs, key=lambda trial: trial["kl_divergence"]):
        own, number = {name: trial[name] for name in ("refusals", "kl_divergence", "seconds")}, str(trial["number"])
        if number not in known:
            known[number] = {"refusal_rate": own["refusals"] / n_harmful}
            if known[number]["refusal_rate"] <= WORTH_MEASURING and not far_beaten(trial, theirs):
                weights = load_file(folder / "weights" / f"{number}.safetensors")
                known[number] = numbers(measured_with(bench, weights, bench.splits["tune"], bench.reference).metrics)
            kept.write_text(json.dumps(known), encoding="utf-8")
            say(f"heretic: {len(known)} of {len(theirs)} trials measured")
        trials.append({"number": trial["number"], "params": trial["params"], "tune": known[number], "own": own})
    return trials


def far_beaten(trial: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> bool:
    """Whether another trial refuses no more at less than half of the first-token KL; such a one is not chosen."""
    return any(
        other["refusals"] <= trial["refusals"] and other["kl_divergence"] < trial["kl_divergence"] / 2
        for other in others
    )


def asked_heretic(
    cell: Cell, setting: Setting, folder: Path, bench: Workbench, say: Callable[[str], None]
) -> dict[str, Any]:
    """What Heretic's trials gave; kept, so that a cell cut while they are measured does not search again."""
    kept = folder / "heretic.json"
    if not kept.exists():
        if setting.heretic is None:
            raise UserError("expected --heretic FOLDER/bin/python, found none: run benchmarks/peers/install.sh FOLDER")
        model = peer_folder(setting.folder / "model", bench, folder / "model")
        markers = folder / "markers.json"
        markers.write_text(json.dumps([word.strip() for word in marker_words(bench.config.evaluate)]), encoding="utf-8")
        worker = Worker(
            "heretic",
            [
                *(setting.heretic, HERE / "peers" / "heretic_worker.py", model),
                *("--markers", markers, "--tokens", str(setting.tokens), "--seed", str(cell.seed)),
                *("--trials", str(setting.n_trials), "--startup-trials", str(n_startup(setting.n_trials))),
                *("--threads", "1", "--drift-on-capability", "--batch-size", str(PROMPTS_AT_ONCE)),
                *("--system-prompt", system_turn(bench.adapter)),
            ],
            threads=1,
            log=folder / "heretic.log",
        )
        say(f"heretic, seed {cell.seed}: ready, {worker.ready['base_refusals']} base refusals")
        answer = worker.ask(run=setting.n_trials, save=str((folder / "weights").resolve()))
        worker.stop()
        kept.write_text(json.dumps(answer), encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))


def peer_folder(model: Path, bench: Workbench, folder: Path) -> Path:
    """The model's files with the splits' prompts beside them, in the form that the workers of peers read."""
    (folder / "prompts").mkdir(parents=True, exist_ok=True)
    for file in model.resolve().iterdir():
        if not (folder / file.name).exists():
            (folder / file.name).symlink_to(file)
    probes = bench.probes
    prompts: Mapping[str, list[Prompt]] = {
        "probe": [*probes.harmful, *probes.harmless, *probes.capability],
        **{name: [p for p in bench.splits[name].prompts if p.kind in KINDS] for name in ("tune", "report")},
    }
    for split, texts in prompts.items():
        rows = [{"text": prompt.text, "kind": prompt.kind} for prompt in texts]
        (folder / "prompts" / f"{split}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
    return folder


def system_turn(adapter: Adapter) -> str:
    """What the template says in its system turn where a chat has none."""
    given = adapter.tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False)
    before = given.split("system\n", 1)
    return before[1].split("<|im_end|>", 1)[0] if len(before) == 2 else ""


def forget_unchosen(folder: Path, trials: list[dict[str, Any]]) -> None:
    """Remove the weights of trials that would not be measured on report: they are as large as the model."""
    wanted = {f"{number}.safetensors" for number in chosen(trials)}
    for path in folder.glob("*.safetensors"):
        if path.name not in wanted:
            path.unlink()
