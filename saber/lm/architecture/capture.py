"""Capture: what modules put out, and what goes into them, while inside; the one place that looks with hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def capture(
    modules: Mapping[Any, nn.Module],
    *,
    with_input: bool = False,
    copy: bool = False,
    take: Callable[[Any, Any], None] | None = None,
) -> Iterator[dict[Any, Any]]:
    """Record what each module puts out while inside, by its key; of several calls the last stays.

    With ``with_input`` the record is (hidden states in, output). ``copy`` keeps it from what is later done in place.
    ``take`` is given each key and record instead, to keep what it wants of it: whole ones of all blocks are large.
    """
    seen: dict[Any, Any] = {}

    def hook_for(key: Any) -> Any:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            first = first_of(output)
            kept: tuple[Tensor, ...] = (input_of(args, kwargs), first) if with_input else (first,)
            if copy:
                kept = tuple(tensor.clone() for tensor in kept)
            record = kept if with_input else kept[0]
            if take is not None:
                take(key, record)
            else:
                seen[key] = record

        return hook

    with ExitStack() as hooks:
        for key, module in modules.items():
            hooks.callback(module.register_forward_hook(hook_for(key), with_kwargs=True).remove)
        yield seen


def first_of(output: Any) -> Tensor:
    """What a module put out, or the first of several things: its hidden states."""
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first


def input_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """What a module was called with first: hidden states by position, or under whatever name comes first."""
    first: Tensor = args[0] if args else next(iter(kwargs.values()))
    return first


@contextmanager
def watched(modules: Mapping[nn.Module, Callable[..., None]]) -> Iterator[None]:
    """Call what belongs to each module, while inside, with the module, its arguments by place and name, its output."""
    with ExitStack() as hooks:
        for module, see in modules.items():
            hooks.callback(module.register_forward_hook(see, with_kwargs=True).remove)
        yield
