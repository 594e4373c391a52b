"""Mutants of a file: its source with one sign changed, and how that takes the place of the imported module."""

from __future__ import annotations

import ast
import copy
import gc
import importlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
# Keywords whose value is no number of the method: what they guard against is a mistake in our own code.
GUARDS = ("strict", "frozen", "eq", "slots", "maxsize", "stacklevel", "repr")
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATIONS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
}  # fmt: skip

PAIRS = (("min", "max"), ("any", "all"), ("amin", "amax"), ("argmin", "argmax"), ("clamp_min", "clamp_max"),
         ("floor", "ceil"), ("startswith", "endswith"), ("lstrip", "rstrip"), ("minimum", "maximum"))  # fmt: skip
NAMES = {**dict(PAIRS), **{other: name for name, other in PAIRS}}


@dataclass(frozen=True)
class Mutant:
    """A file with one sign changed: where, in which function (``""`` for none), from what to what."""

    file: Path
    line: int
    function: str
    change: str
    source: str


def mutants_of(file: Path) -> Iterator[Mutant]:
    """Every mutant of a file, in the order of its lines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    guards = {id(key.value) for key in ast.walk(tree) if isinstance(key, ast.keyword) and key.arg in GUARDS}
    functions = dict(functions_of(tree))
    for at, node in enumerate(ast.walk(tree)):
        for changed in changes_of(node) if id(node) not in guards else ():
            other = copy.deepcopy(tree)
            place = list(ast.walk(other))[at]
            place.__dict__.update(changed.__dict__)
            place.__class__ = changed.__class__
            before, after = ast.unparse(node), ast.unparse(place)
            if before != after:
                source = ast.unparse(ast.fix_missing_locations(other))
                line = getattr(node, "lineno", 0)
                yield Mutant(file, line, functions.get(id(node), ""), f"{before} -> {after}", source)


def functions_of(tree: ast.AST, inside: str = "") -> Iterator[tuple[int, str]]:
    """Each node of a function's body with the function's qualified name, the outermost one's."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions_of(node, f"{inside}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            for statement in node.body:
                yield from ((id(inner), inside + node.name) for inner in ast.walk(statement))


def changes_of(node: ast.AST) -> Iterator[ast.AST]:
    """A comparison, operation, number, truth, connective, sign, name, condition or jump, each changed by one."""
    if isinstance(node, ast.Compare):
        for at, sign in enumerate(node.ops):
            if type(sign) in COMPARISONS:
                signs = [*node.ops[:at], COMPARISONS[type(sign)](), *node.ops[at + 1 :]]
                yield ast.Compare(node.left, signs, node.comparators)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        yield ast.BinOp(node.left, OPERATIONS[type(node.op)](), node.right)
    if isinstance(node, ast.AugAssign) and type(node.op) in OPERATIONS:
        yield ast.AugAssign(node.target, OPERATIONS[type(node.op)](), node.value)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
        yield ast.Name(NAMES[node.id], node.ctx)
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield ast.Attribute(node.value, NAMES[node.attr], node.ctx)
    if isinstance(node, ast.If | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        flipped = copy.copy(node)
        flipped.test = ast.UnaryOp(ast.Not(), node.test)
        yield flipped
    if isinstance(node, (ast.Continue, ast.Break)):
        yield ast.Break() if isinstance(node, ast.Continue) else ast.Continue()
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield ast.UnaryOp(ast.UAdd(), node.operand) if isinstance(node.op, ast.USub) else copy.deepcopy(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)


def module_of(file: Path) -> str:
    """The name that a file is imported by."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def put_in_place(mutant: Mutant) -> None:
    """Make the imported module behave as the mutant: its functions take the other code, constants their other value."""
    module = importlib.import_module(module_of(mutant.file))
    fresh = ModuleType(module.__name__)
    fresh.__dict__.update(__file__=module.__file__, __package__=module.__package__)
    exec(compile(mutant.source, str(mutant.file), "exec"), fresh.__dict__)
    new = {function.__qualname__: function for function in functions_in(vars(fresh).values())}
    for old in imported_functions(module.__name__):
        other = new.get(old.__qualname__)
        same = ("co_filename", "co_freevars")  # not what a checker of types has made of it
        if other is not None and all(getattr(old.__code__, of) == getattr(other.__code__, of) for of in same):
            old.__code__, old.__defaults__, old.__kwdefaults__ = (
                other.__code__,
                other.__defaults__,
                other.__kwdefaults__,
            )
    importers = [loaded for name, loaded in sys.modules.items() if name.partition(".")[0] in ("saber", "tests")]
    for name, value in list(vars(module).items()):
        other = getattr(fresh, name, None)
        if name.startswith("__") or callable(value) or isinstance(value, ModuleType) or name not in vars(fresh):
            continue
        for importer in importers:
            if vars(importer).get(name) is value:
                setattr(importer, name, other)


def functions_in(values: Iterable[Any]) -> Iterator[FunctionType]:
    """The functions among values, those of classes and behind decorators too."""
    for value in values:
        if isinstance(value, FunctionType):
            yield value
        elif isinstance(value, type):
            yield from functions_in(vars(value).values())
        else:
            yield from functions_in(
                getattr(value, name) for name in ("__wrapped__", "fget", "func") if name in dir(value)
            )


@cache
def imported_functions(module: str) -> list[FunctionType]:
    """Every function that a module has defined, wherever it is held."""
    return [
        candidate
        for candidate in gc.get_objects()
        if type(candidate) is FunctionType and candidate.__module__ == module and not hasattr(candidate, "__wrapped__")
    ]
