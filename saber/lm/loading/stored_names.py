"""Which parameter of a model each tensor of its checkpoint becomes, by transformers' own table of conversions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    ErnieFuseAndSplitTextVisionExperts,
    MergeModulelist,
    Transpose,
    WeightConverter,
    WeightRenaming,
    rename_source_key,
)

EXPERT = re.compile(r"experts\.(\d+)\.")


@dataclass(frozen=True)
class StoredAs:
    """The parameter that a stored tensor becomes, whether as one expert's part of it or with its last axes swapped."""

    name: str
    is_one_expert: bool
    is_transposed: bool


def parameters_of(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, StoredAs]:
    """The parameter that each stored tensor becomes, by the tensors' names and shapes.

    A tensor that becomes its parameter by anything but renaming, stacking, swapping its last two axes and dealing
    experts out to several parameters is left out.
    """
    conversions = get_model_conversion_mapping(model)
    renamings = [conversion for conversion in conversions if isinstance(conversion, WeightRenaming)]
    converters = [conversion for conversion in conversions if isinstance(conversion, WeightConverter)]
    of_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    own = dict(model.named_parameters())
    parameters: dict[str, StoredAs] = {}
    dealt: dict[tuple[str, WeightConverter], list[str]] = {}
    for key, shape in shapes.items():
        name, pattern = rename_source_key(key, renamings, converters, model.base_model_prefix, own)
        converter = of_pattern[pattern] if pattern is not None else None
        operations = converter.operations if converter is not None else []
        if name not in own:
            continue
        if all(isinstance(operation, MergeModulelist) for operation in operations):
            parameters[key] = StoredAs(name, bool(operations), False)
        elif len(operations) == 1 and _swaps_last_axes(operations[0], len(shape)):
            kept = operations[0].check_dims and shape == tuple(own[name].shape)
            parameters[key] = StoredAs(name, False, not kept)
        elif converter is not None and _deals_out(converter):
            dealt.setdefault((name, converter), []).append(key)
    for (name, converter), keys in dealt.items():
        parameters |= _dealt_out(name, converter, keys)
    return parameters


def _swaps_last_axes(operation: Any, n_axes: int) -> bool:
    return isinstance(operation, Transpose) and {operation.dim0, operation.dim1} == {n_axes - 2, n_axes - 1}


def _deals_out(converter: WeightConverter) -> bool:
    """Whether one stored list of experts becomes several parameters, an equal run of it each, and nothing is joined."""
    splits = [isinstance(operation, ErnieFuseAndSplitTextVisionExperts) for operation in converter.operations]
    return splits == [True] and len(converter.source_patterns) == 1


def _dealt_out(name: str, converter: WeightConverter, keys: list[str]) -> dict[str, StoredAs]:
    """By stored name, the parameter that each expert of one list goes to; ``name`` is the first of them."""
    first, n_parts = converter.target_patterns[0], len(converter.target_patterns)
    ordered = sorted(keys, key=lambda key: int(EXPERT.findall(key)[-1]))
    run = -(-len(ordered) // n_parts)
    return {
        key: StoredAs(name.replace(first, converter.target_patterns[i // run]), True, False)
        for i, key in enumerate(ordered)
    }
