"""Where a model's parts are: one device, or spread over several, main memory and disk by accelerate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import dispatch_model
from accelerate.hooks import remove_hook_from_submodules
from torch import nn

from saber.types import UserError

HELD_ELSEWHERE = ("cpu", "disk")  # where accelerate keeps weights that another device computes with


def one_device(device: str) -> str:
    """The device that a name means: ``auto`` is the GPU where there is one.

    Raises:
        UserError: it is no device of this machine.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        here = f"cpu and {torch.cuda.device_count()} GPUs" if torch.cuda.is_available() else "cpu alone"
        raise UserError(f"expected model.device to be a device of this machine ({here}), found {device!r}") from error
    return device


def spread(
    device_map: str | Mapping[str, str | int],
    max_memory: Mapping[str, str] | None,
    offload_folder: str | None,
) -> dict[str, Any]:
    """The arguments by which transformers spreads a model as it reads it; ``gpu0`` or 0 is the first GPU."""
    places = device_map if isinstance(device_map, str) else {part: _place(at) for part, at in device_map.items()}
    options: dict[str, Any] = {"device_map": places}
    if max_memory is not None:
        options["max_memory"] = {_place(at): room for at, room in max_memory.items()}
    if offload_folder is not None:
        options["offload_folder"] = offload_folder
    return options


def _place(at: str | int) -> str | int:
    number = str(at).removeprefix("gpu")
    return int(number) if number.isdigit() else at


def is_spread(model: nn.Module) -> bool:
    """Whether accelerate has placed its parts, so that it cannot be moved as one."""
    return len(set(_map(model).values())) > 1 or is_offloaded(model)


def is_offloaded(model: nn.Module) -> bool:
    """Whether weights are held elsewhere and come only when they are computed with."""
    return any(parameter.is_meta for parameter in model.parameters())


def computes_on(model: nn.Module, name: str, weight: torch.Tensor) -> torch.device:
    """Where a module computes: where its weight is, or for one whose weight is elsewhere where accelerate brings it."""
    if not weight.is_meta:
        return weight.device
    places = _map(model)
    gpus = [at for at in places.values() if at not in HELD_ELSEWHERE]
    at = next((at for part, at in places.items() if part == "" or f"{name}.".startswith(f"{part}.")), "cpu")
    if at in HELD_ELSEWHERE:
        at = gpus[0] if gpus else "cpu"
    return torch.device("cuda", at) if isinstance(at, int) else torch.device(at)


def _map(model: nn.Module) -> dict[str, Any]:
    device_map: dict[str, Any] = getattr(model, "hf_device_map", {})
    return device_map


@contextmanager
def in_main_memory(model: Any) -> Iterator[None]:
    """While inside, leave the GPUs to others; a packed model and one with weights elsewhere stay where they are."""
    places = _map(model)
    device = next(model.parameters()).device
    if is_offloaded(model) or (device.type != "cuda" and not any(isinstance(at, int) for at in places.values())):
        yield
        return
    if places:
        remove_hook_from_submodules(model)
    model.to("cpu")
    torch.cuda.empty_cache()
    try:
        yield
    finally:
        if len(set(places.values())) > 1:
            dispatch_model(model, device_map=places)
        else:
            model.to(device)
