"""Mutation testing of the numerics: change one sign at a time and see whether a test notices.

``python -m benchmarks.mutants 5 0`` takes five mutants of each file of ``saber/scoring`` and ``saber/method``, drawn
with seed 0, and runs the tests of that file, then those of its room. What is heavy is imported once; mutants are forks.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("scoring", "method")
PATIENCE_S = 300
IMPORTED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # as hypothesis is, once for all mutants
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATIONS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A file with one sign changed: where, and from what to what."""

    file: Path
    line: int
    change: str
    source: str


def mutants_of(file: Path) -> Iterator[Mutant]:
    """Every mutant of a file, in the order of its lines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for at, node in enumerate(ast.walk(tree)):
        for changed in changes_of(node):
            other = copy.deepcopy(tree)
            place = list(ast.walk(other))[at]
            place.__dict__.update(changed.__dict__)
            before, after = ast.unparse(node), ast.unparse(place)
            if before != after:
                source = ast.unparse(ast.fix_missing_locations(other))
                yield Mutant(file, getattr(node, "lineno", 0), f"{before} -> {after}", source)


def changes_of(node: ast.AST) -> Iterator[ast.AST]:
    """A comparison, an operation, a number, a truth, a connective or a sign, each changed by one."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield ast.Compare(node.left, [COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        yield ast.BinOp(node.left, OPERATIONS[type(node.op)](), node.right)
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield ast.UnaryOp(ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not(), copy.deepcopy(node.operand))
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)


def load_instead(module: str, path: Path) -> None:
    """From here on a module is imported from another file; the hook that checks shapes asks `PathFinder` alone."""
    find = PathFinder.find_spec

    def found(name: str, *places: object) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, path) if name == module else find(name, *places)  # type: ignore[arg-type]  # passed on

    PathFinder.find_spec = found  # type: ignore[assignment,method-assign]  # in a fork that ends with its tests


def is_killed(mutant: Mutant, tests: Sequence[str]) -> bool:
    """Whether the tests fail, or do not end, on the mutant; they run in a fork of this process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / mutant.file.name
        path.write_text(mutant.source, encoding="utf-8")
        child = os.fork()
        if child == 0:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            module = ".".join(mutant.file.relative_to(ROOT).with_suffix("").parts)
            load_instead(module, path)
            os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *IMPORTED, *tests])))
        return wait_for(child) != 0


def wait_for(child: int) -> int:
    """The status of a child, which is ended where it takes too long."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def tests_of(file: Path) -> list[list[str]]:
    """The tests of a file, then those of its room."""
    room = ROOT / "tests" / file.parent.name
    own = room / f"test_{file.stem}.py"
    return [[str(own)] if own.exists() else [str(room)], [str(room)]]


def main(n: int, seed: int) -> None:
    """Draw mutants of every file, and print those that no test noticed."""
    import hypothesis  # noqa: F401 - imported before the forks, once
    import sklearn.covariance  # noqa: F401
    import torch

    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    for room in ROOMS:
        for file in sorted((ROOT / "saber" / room).glob("*.py")):
            every = list(mutants_of(file))
            if every and is_killed(replace(every[0], source=file.read_text(encoding="utf-8")), tests_of(file)[0]):
                print(f"{file.relative_to(ROOT)}: its tests fail as it is", flush=True)
                continue
            for mutant in random.Random(f"{seed} {file.name}").sample(every, min(n, len(every))):
                killed = any(is_killed(mutant, tests) for tests in tests_of(file))
                counts["killed" if killed else "survived"] += 1
                if not killed:
                    print(f"{file.relative_to(ROOT)}:{mutant.line}: {mutant.change}", flush=True)
    print(f"{n} mutants a file, seed {seed}: {dict(counts)}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
