"""What a family that nobody declared would be declared as, found by looking at one pass: for a person to check.

In every block the change of the stream is written as a sum of what modules put out. The modules of that sum are linear
maps, norms, or parts that hold several maps; each becomes rows. Nothing here is ever used to edit a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from saber.lm.architecture.capture import watched
from saber.lm.architecture.text_half import text_config, text_type
from saber.lm.architecture.writer_rows import WEIGHT, Family, Layout, WriterRow, residual_axis
from saber.types import UserError, WriterKind

EXPLAINED, USED = 1e-4, 1e-3  # relative error of a sum that is whole, and the smallest coefficient of a part of it
ATTENTION_WORDS = ("attn", "attention", "mamba", "out_proj", "conv", "temporal", "lstm", "ssm", "o_proj")
N_TOKENS = 12


class Seen:
    """What a module was given and what it put out, both flat in float64, in one pass."""

    def __init__(self, module: nn.Module, given: Tensor | None, out: Tensor) -> None:
        self.module, self.given, self.out = module, given, out


def propose(model: Any) -> Family:
    """The family that explains a model's blocks, as far as one pass over a few tokens shows.

    Raises:
        UserError: there is no list of blocks with one stream, or a block is no sum of what its modules put out.
    """
    path, blocks = _blocks(model)
    d_model = int(text_config(model.config).hidden_size)
    seen = _look(model, blocks)
    rows = [_rows_of(block, seen[layer], d_model, f"{path}.{layer}") for layer, block in enumerate(blocks)]
    leaf = path.rpartition(".")[2]
    is_wrapper = model.config.model_type != text_type(model.config)
    return Family(_merged(rows, blocks), f"model.{leaf}" if is_wrapper else path)


def as_code(family: Family) -> str:
    """A family as it is written in the table, without what is at its default."""
    rows = ", ".join(_call(row) for row in family.writers) + ("," if len(family.writers) == 1 else "")
    where = "" if family.blocks == "model.layers" else f", {family.blocks!r}"
    return f"Family(({rows}){where})"


def _call(row: WriterRow) -> str:
    given = [
        f"{field.name}={getattr(row, field.name)!r}"
        for field in fields(row)
        if getattr(row, field.name) != field.default
    ]
    return f"WriterRow({', '.join(given)})"


def _blocks(model: Any) -> tuple[str, nn.ModuleList]:
    """The list of blocks: as long as the text half is deep, of the most parameters, and run by text."""
    n = getattr(text_config(model.config), "num_hidden_layers", None)
    lists = [
        (name, blocks) for name, blocks in model.named_modules() if isinstance(blocks, nn.ModuleList) and len(blocks)
    ]
    of_depth = [(name, blocks) for name, blocks in lists if n is None or len(blocks) == n] or lists
    ran: set[nn.Module] = set()
    with watched({blocks[0]: lambda module, *_: ran.add(module) for _, blocks in of_depth}):
        _run(model)
    candidates = [(name, blocks) for name, blocks in of_depth if blocks[0] in ran]
    if not candidates:
        raise UserError(f"expected a list of blocks that text runs through, found none in {type(model).__name__}")
    return max(candidates, key=lambda named_blocks: sum(p.numel() for p in named_blocks[1].parameters()))


@torch.no_grad()
def _run(model: Any) -> None:
    device = model.get_input_embeddings().weight.device
    model(input_ids=torch.arange(1, N_TOKENS + 1, device=device).unsqueeze(0), use_cache=False)


def _look(model: Any, blocks: nn.ModuleList) -> list[dict[str, Seen]]:
    """What every module of every block is given and puts out, by its name in the block; '' is the block itself."""
    seen: list[dict[str, Seen]] = [{} for _ in blocks]

    def keep(into: dict[str, Seen], name: str) -> Callable[..., None]:
        def see(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            out = output[0] if isinstance(output, list | tuple) else output
            given = next((arg for arg in [*args, *kwargs.values()] if isinstance(arg, Tensor)), None)
            if isinstance(out, Tensor):
                into[name] = Seen(module, None if given is None else _flat(given), _flat(out))

        return see

    with ExitStack() as hooks:
        for into, block in zip(seen, blocks, strict=True):
            for name, module in block.named_modules():
                hooks.enter_context(watched({module: keep(into, name)}))
        _run(model)
    return seen


def _flat(tensor: Tensor) -> Tensor:
    return tensor.detach().double().flatten().clone()


def _rows_of(block: nn.Module, seen: Mapping[str, Seen], d_model: int, path: str) -> list[WriterRow]:
    """The rows of one block."""
    whole = seen[""]
    if whole.given is None or whole.given.numel() != whole.out.numel():
        raise UserError(f"expected one stream through {path}, found other sizes in and out: it mixes several")
    sizes = {name: part for name, part in seen.items() if name and part.out.numel() == whole.out.numel()}
    parts = _sum_of(whole.out, {"": _stream_in(whole), **sizes}, d_model)
    if parts is None:
        raise UserError(f"expected {path} to add what its modules put out, found that no sum of it explains the block")
    scale = parts.pop("", 0.0)
    if abs(scale) < USED:
        raise UserError(
            f"expected {path} to add to its input, found none of that in what it puts out: a norm or a gate stands"
            " behind each add, which no row says"
        )
    if abs(scale - 1.0) > USED:
        raise UserError(f"expected {path} to add to its input, found it times {scale:.3f}: see Family.block_scale")
    rows: list[WriterRow] = []
    for name, times in parts.items():
        multiplier = None if abs(times - 1.0) < USED else _attribute(block, times)
        inside = None
        if multiplier is None and abs(times - 1.0) >= USED:  # by no attribute: a module around it adds it
            inside = next((size for size in sorted(sizes, key=len) if name.startswith(f"{size}.")), None)
        for row in _writers_in(name, sizes, d_model):
            rows.append(replace(row, multiplier=multiplier) if inside is None else replace(row, write=inside))
    return rows


def _stream_in(whole: Seen) -> Seen:
    """The stream into a block, as one of the parts of what it puts out."""
    assert whole.given is not None
    return Seen(nn.Identity(), None, whole.given)


def _sum_of(target: Tensor, parts: Mapping[str, Seen], d_model: int) -> dict[str, float] | None:
    """The coefficients of the parts whose sum a tensor is: of maps and norms if they explain it, else of whole modules.

    Of parts that put out the same the innermost map counts.
    """
    order = sorted(parts, key=lambda name: (_layout(parts[name].module, d_model) is None, -name.count(".")))
    distinct: list[str] = []
    for name in order:
        if not any(torch.equal(parts[name].out, parts[other].out) for other in distinct):
            distinct.append(name)
    inner = [name for name in distinct if not name or _layout(parts[name].module, d_model) or _is_norm(parts[name])]
    holders = sorted((name for name in distinct if name not in inner), key=lambda name: -name.count("."))
    options = [inner]
    for holder in holders:
        options.append([name for name in options[-1] if not name.startswith(f"{holder}.")] + [holder])
    for names in options:
        columns = torch.stack([parts[name].out for name in names], dim=1)
        solution = torch.linalg.lstsq(columns, target.unsqueeze(1), driver="gelsd").solution
        if float((columns @ solution - target.unsqueeze(1)).norm()) <= EXPLAINED * float(target.norm()):
            return {name: float(c) for name, c in zip(names, solution[:, 0], strict=True) if abs(float(c)) > USED}
    return None


def _writers_in(name: str, sizes: Mapping[str, Seen], d_model: int, norms: tuple[str, ...] = ()) -> list[WriterRow]:
    """The rows of one part of the sum: of a map itself, of what a norm is given, or of the last maps in a module."""
    module_seen = sizes[name]
    layout = _layout(module_seen.module, d_model)
    if layout is not None:
        return [WriterRow(_kind(name), name, layout, norms)]
    if _is_norm(module_seen):
        assert module_seen.given is not None
        others = {
            other: seen for other, seen in sizes.items() if other != name and not torch.equal(seen.out, module_seen.out)
        }
        parts = _sum_of(module_seen.given, others, d_model)
        if parts is None:
            raise UserError(f"expected {name} to be given a sum of what modules put out, found something else")
        return [row for part in parts for row in _writers_in(part, others, d_model, (name, *norms))]
    inside = [other for other in sizes if other.startswith(f"{name}.") and _layout(sizes[other].module, d_model)]
    read = [sizes[other].given for other in sizes if _layout(sizes[other].module, d_model)]
    last = [
        other
        for other in inside
        if not any(given is not None and torch.equal(given, sizes[other].out) for given in read)
    ]
    if not last:
        raise UserError(
            f"expected a map that puts out {d_model} numbers inside {name}, found none with its usual name: look where"
            " its weight is, and write the row by hand (WriterRow.weight)"
        )
    rows = [_writers_in(other, sizes, d_model, norms)[0] for other in last]
    return rows if norms else [replace(row, write=name) for row in rows]


def _layout(module: nn.Module, d_model: int) -> Layout | None:
    """The layout in which a module's own weight writes d_model numbers, the outer axis first where both would do."""
    if isinstance(module, nn.Linear):
        return "oi" if module.out_features == d_model else None
    if getattr(module, "nf", None) == d_model:
        return "io"
    for layout in ("eoi", "eio"):
        weight = getattr(module, WEIGHT[layout], None)
        if isinstance(weight, Tensor) and weight.ndim == 3 and weight.shape[residual_axis(layout)] == d_model:
            return layout
    return None


def _is_norm(module_seen: Seen) -> bool:
    """Whether it is a norm and nothing else: a block's part that holds a norm may be named after it too."""
    return "norm" in type(module_seen.module).__name__.lower() and not any(module_seen.module.children())


def _kind(name: str) -> WriterKind:
    return "attention" if any(word in name.lower() for word in ATTENTION_WORDS) else "mlp"


def _attribute(block: nn.Module, value: float) -> str | None:
    """The attribute of a block that holds a number, wherever inside it."""
    for name, module in block.named_modules():
        for attribute, held in vars(module).items():
            if isinstance(held, float) and abs(held - value) < USED:
                return f"{name}.{attribute}".lstrip(".")
    return None


def _merged(by_block: Sequence[Sequence[WriterRow]], blocks: nn.ModuleList) -> tuple[WriterRow, ...]:
    """The rows of all blocks once each; one that some blocks lack counts where its last norm or its module is."""
    names = [{name for name, _ in block.named_modules()} for block in blocks]
    merged: list[WriterRow] = []
    for row in dict.fromkeys(row for rows in by_block for row in rows):
        having = [row in rows for rows in by_block]
        if all(having):
            merged.append(row)
            continue
        marks = [*row.norms[-1:], row.module]
        mark = next((candidate for candidate in marks if [candidate in of for of in names] == having), None)
        others = {
            norm
            for rows in by_block
            for other_row in rows
            if other_row.module == row.module
            for norm in other_row.norms
        }
        if mark is not None:
            merged.append(replace(row, when=mark))
        else:
            absent = next((other for other in sorted(others) if [other not in of for of in names] == having), None)
            merged.append(replace(row, when=row.module, unless=absent))
    return tuple(merged)
