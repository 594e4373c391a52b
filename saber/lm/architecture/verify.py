"""The guard at load: a block's output must be its input plus the declared writes, or a writer is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from saber.lm.architecture.adapter import Adapter, Writer
from saber.lm.architecture.capture import capture, first_of, watched
from saber.lm.architecture.weights import require_finite
from saber.types import UserError

N_TOKENS = 12
# Rounding of a sum of a few terms, relative to the output: well under what a missing write would leave.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}


@torch.inference_mode()
def verify_writers(adapter: Adapter) -> float | None:
    """Rebuild every block's output, out = s (in + sum of m * write), and return the worst relative error.

    The stream must run through the blocks, each once and in order, and a writer's output must be linear in its weight.
    ``None`` for a family declared to be no such sum, whose ``inexact`` says why.

    Raises:
        UserError: a block's output differs from what its declared writers explain, something else writes between
            blocks, or a weight is NaN or infinite.
    """
    require_finite(adapter.model)
    if adapter.family.inexact is not None:
        with watched(_linear_ones(adapter)):
            _run(adapter)
        return None
    writes: dict[object, nn.Module] = {(w.layer, id(w.write)): w.write for w in adapter.writers}
    calls: Counter[int] = Counter()
    blocks = dict(enumerate(adapter.blocks))
    with (
        capture(blocks, take=lambda layer, _: calls.update([layer])),
        capture(blocks, with_input=True, copy=True) as streams,
        capture(writes, copy=True) as added,
        watched(_linear_ones(adapter)),
    ):
        _run(adapter)
    _require_one_stream(adapter, calls, streams)
    worst = 0.0
    for layer, (entered, left) in streams.items():
        error = _apart(_rebuild(adapter, layer, entered, left, added), left)
        worst = max(worst, error)
        if not error <= TOLERANCE[adapter.dtype]:  # NaN is no pass
            raise UserError(
                f"expected the declared writers to explain block {layer} of"
                f" {adapter.model_type}, found an error of {error:.1e}: a writer is not declared"
            )
    return worst


def _run(adapter: Adapter) -> None:
    n_known = int(adapter.model.get_input_embeddings().weight.shape[0])
    tokens = torch.arange(1, N_TOKENS + 1, device=adapter.device).unsqueeze(0) % n_known
    adapter.model(input_ids=tokens, use_cache=False)


def _require_one_stream(adapter: Adapter, calls: Counter[int], streams: dict[int, tuple[Tensor, Tensor]]) -> None:
    """Pass where one stream of the declared width runs through every block once, and nothing is added between them."""
    of = f"the blocks of {adapter.model_type} at {adapter.blocks_path}"
    for layer in range(adapter.n_layers):
        if calls[layer] != 1:
            raise UserError(f"expected {of} to run once each, found block {layer} run {calls[layer]} times")
        entered, left = streams[layer]
        if entered.shape != left.shape or entered.shape[-1] != adapter.d_model or entered.ndim != 3:
            raise UserError(
                f"expected one stream of width {adapter.d_model} through {of}, found {tuple(entered.shape)} into block"
                f" {layer} and {tuple(left.shape)} out of it: a family that mixes several streams cannot be served"
            )
        before = entered if layer == 0 else streams[layer - 1][1].to(entered.device)
        if not _apart(before, entered) <= TOLERANCE[adapter.dtype]:
            raise UserError(
                f"expected nothing to be added between {of}, found the stream changed between {layer - 1} and {layer}:"
                " a writer outside the blocks is not declared"
            )


def _apart(rebuilt: Tensor, expected: Tensor) -> float:
    """How far two streams are apart, relative to the second's norm."""
    return float((rebuilt.double() - expected.double()).norm() / expected.double().norm())


def _rebuild(adapter: Adapter, layer: int, entered: Tensor, left: Tensor, added: dict[object, Tensor]) -> Tensor:
    """What a block should put out; a module that adds several writers at once counts once."""
    multipliers = {id(w.write): w.multiplier for w in adapter.writers if w.layer == layer}
    writes = [  # experts that no token was sent to write nothing
        multiplier * added[layer, write].double().reshape(entered.shape).to(left.device)
        for write, multiplier in multipliers.items()
        if (layer, write) in added
    ]
    terms = [entered.double().to(left.device), *writes]
    if adapter.family.scaled_adds:
        columns = torch.stack([term.flatten() for term in terms], dim=1)
        return (columns @ torch.linalg.lstsq(columns, left.double().flatten()).solution).reshape(left.shape)
    rebuilt = torch.stack(terms).sum(dim=0)
    name = adapter.family.block_scale
    return rebuilt if name is None else rebuilt * getattr(adapter.blocks[layer], name).double()


def _linear_ones(adapter: Adapter) -> dict[nn.Module, Callable[..., None]]:
    """Checks of one writer of each kind of module: with its weight and bias doubled its output must double.

    What it puts out beside them, such as a copy of its input that identity experts add, would survive baking.
    """
    firsts = {(type(w.module), w.layout, w.name.rpartition(".")[2]): w for w in reversed(adapter.writers)}
    return {w.module: _doubling(w) for w in firsts.values() if w.in_full and not w.weight.is_meta}


def _doubling(writer: Writer) -> Callable[..., None]:
    def see(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        once = first_of(output)
        held = [tensor for tensor in (writer.weight, writer.bias) if tensor is not None]
        try:
            for tensor in held:
                tensor.mul_(2.0)
            doubled = first_of(module.forward(*args, **kwargs))
        finally:
            for tensor in held:
                tensor.mul_(0.5)  # exact, as doubling was
        rest = float((doubled.double() - 2.0 * once.double()).norm())
        if not rest <= TOLERANCE[once.dtype] * float(doubled.double().norm()):
            raise UserError(
                f"expected what {writer.name} puts out to be linear in its weight, found more than that: something"
                " writes with it, such as experts that pass their input on, and no edit of the weight reaches it"
            )

    return see
