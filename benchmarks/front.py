"""The front of every method at equal trials: methods and controls x organisms x search seeds, on tune and on report.

    python benchmarks/front.py OUT --organisms sweeps/_organism/seed0 sweeps/_organism/seed1 --seeds 0 1 2
        [--heretic ~/.cache/saber-peers/heretic/bin/python] [--trials 80] [--cells heretic saber seed0 0] [--worker 1/2]

Resumable: every finished cell is a line of OUT/front.jsonl, and a study that was cut goes on from its database. A cell
whose configuration has changed since, as the default sweep's may, runs again, and the later line counts. ``--cells``
keeps the methods, organisms and search seeds that it names, and all where it names none of a sort. ``--worker 1/2``
takes the first of every two cells: two processes, of one thread each, can share the work in one folder.

A cell searches on tune, then the points of its tune front (for each of the three KLDs) are measured on report, once.
Borderline prompts are left out: no objective counts them. Hypervolumes are of the front chosen on tune, against refusal
1 and KLD 0.1 or 0.5. Writes OUT/front.json and OUT/front.html, and prints the tables.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from front_ara import run_ara_cell
from front_cells import Cell, Setting, configured, fingerprint, run_cell
from front_heretic import run_heretic_cell
from front_methods import ARA, HERETIC, METHODS
from front_page import page, tables
from front_score import scored
from rich.console import Console

from saber.atomic_files import write_atomically
from saber.types import UserError

ROWS = "front.jsonl"
Run = Callable[[Cell, Setting], dict[str, Any]]


def cells_of(options: argparse.Namespace) -> list[Cell]:
    """All cells that are asked for, search seed by search seed, so that a part of them compares all methods.

    Raises:
        UserError: two organisms have one name, or ``--cells`` names what there is not.
    """
    names = [folder.name for folder in options.organisms]
    if len(set(names)) < len(names):
        raise UserError(f"expected organisms in folders of different names, found {', '.join(names)}")
    sorts = (list(METHODS), names, [str(seed) for seed in options.seeds])
    unknown = set(options.cells) - {name for sort in sorts for name in sort}
    if unknown:
        raise UserError(f"--cells: expected methods, organisms or seeds, found {', '.join(sorted(unknown))}")
    methods, organisms, seeds = ([name for name in sort if name in options.cells] or list(sort) for sort in sorts)
    folders = {folder.name: folder for folder in options.organisms}
    return [Cell(m, folders[o], int(s)) for s in seeds for o in organisms for m in methods]


def share(cells: Sequence[Cell], worker: str) -> list[Cell]:
    """The cells of worker ``i/n``, counted from 1.

    Raises:
        UserError: it is not of that form.
    """
    i, _, n = worker.partition("/")
    if not (i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise UserError(f"--worker: expected i/n such as 1/2, found {worker!r}")
    return list(cells[int(i) - 1 :: int(n)])


def read_rows(folder: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """The finished cells by their keys; of two lines of one cell the later counts, and half a line is none."""
    path = folder / ROWS
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = text[: text.rfind("\n") + 1].splitlines()
    return {(row["method"], row["organism"], row["seed"]): row for row in map(json.loads, lines)}


def append_row(folder: Path, row: dict[str, Any]) -> None:
    """Add a finished cell, whoever else is writing, in the place of half a line that a killed process left."""
    with (folder / ROWS).open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write((json.dumps(row) + "\n").encode())


def run_missing(cells: Sequence[Cell], setting: Setting, say: Callable[[str], None], run: Run) -> None:
    """Run every cell that is not finished under the configuration it has now."""
    for cell in cells:
        name = f"{cell.method} on {cell.organism.name}, search seed {cell.seed}"
        row = read_rows(setting.folder).get(cell.key)
        if row is not None:
            if row["fingerprint"] == fingerprint(cell, configured(cell, setting)):
                continue
            say(f"{name}: its configuration has changed, it runs again")
        row = run(cell, setting)
        append_row(setting.folder, row)
        volume = scored(row)["hypervolume"]["report"]
        say(
            f"{name}: {row['n_trials']} trials in {row['search_s']:.0f} s, hypervolume on report"
            f" {volume['response']['0.1']:.4f} (response KLD, .1), {volume['first']['0.5']:.4f} (first KLD, .5)"
        )


def run_any(cell: Cell, setting: Setting) -> dict[str, Any]:
    """Run a cell as its method needs."""
    runs: dict[str, Run] = {HERETIC: run_heretic_cell, ARA: run_ara_cell}
    return runs.get(cell.method, run_cell)(cell, setting)


def say_now(console: Console, text: str) -> None:
    """Say that a cell is done when it is done, in a file too."""
    console.print(text, highlight=False)
    console.file.flush()


def options_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--organisms", nargs="+", type=Path, default=[Path("sweeps/_organism/seed0")])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--cells", nargs="+", default=[], help="names of methods and organisms, and search seeds")
    parser.add_argument("--worker", default="1/1", help="i/n: the i-th of every n cells")
    parser.add_argument("--words", nargs="+", default=[], help="words of saber.sweep for every cell")
    parser.add_argument("--heretic", type=Path, help="Python of the environment that peers/install.sh makes")
    parser.add_argument("--show", action="store_true", help="run nothing, show what there is")
    return parser.parse_args(words)


def main() -> None:
    """Run what is missing, print the tables, write the page."""
    options = options_of()
    console = Console() if sys.stdout.isatty() else Console(width=160)
    setting = Setting(options.out, options.trials, options.tokens, tuple(options.words), options.heretic)
    try:
        cells = share(cells_of(options), options.worker)
        setting.folder.mkdir(parents=True, exist_ok=True)
        if not options.show:
            run_missing(cells, setting, partial(say_now, console), run_any)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    show(list(read_rows(setting.folder).values()), setting, console)


def show(rows: Sequence[dict[str, Any]], setting: Setting, console: Console) -> None:
    """Print the tables and write the page, of the cells with equal trials."""
    if strange := sorted({row["method"] for row in rows} - METHODS.keys()):
        console.print(f"cells of methods that there are no more are left out: {', '.join(strange)}", highlight=False)
        rows = [row for row in rows if row["method"] not in strange]
    equal = [row for row in rows if row["n_trials"] == setting.n_trials]
    if others := [row for row in rows if row["n_trials"] != setting.n_trials]:
        said = ", ".join(f"{row['method']} on {row['organism']} ({row['n_trials']})" for row in others)
        console.print(f"{len(others)} cells left out, not of {setting.n_trials} trials: {said}", highlight=False)
    if not equal:
        console.print(f"no finished cell of {setting.n_trials} trials in {setting.folder}")
        return
    known = [scored(row) for row in equal]
    for table in tables(known):
        console.print(table)
    write_atomically(setting.folder / "front.json", json.dumps(known, indent=1) + "\n")
    write_atomically(setting.folder / "front.html", page(equal))
    console.print(f"written to {setting.folder}/front.json and front.html")


if __name__ == "__main__":
    main()
