"""A plan as a LoRA adapter for llama.cpp: one file of a few megabytes that edits any quantisation of the base.

``general.type=adapter``, ``adapter.type=lora``; llama.cpp adds ``scale * alpha / rank * B A x`` to each named map, so
alpha is the most frequent rank, and B of another rank is scaled to make up for it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch

from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.gguf_names import gguf_architecture, gguf_names, gguf_package
from saber.lm.editing.lora_factors import LoraFactors, lora_edits, lora_factors, no_adapter
from saber.lm.editing.tensor_file import PLAN
from saber.types import EditPlan, UserError

A, B = ".lora_a", ".lora_b"
ALPHA = "adapter.lora.alpha"


def check_gguf_adapter(adapter: Adapter, plan: EditPlan) -> None:
    """Refuse a plan that has no adapter for llama.cpp, before anything is written.

    Raises:
        UserError: as of `save_gguf_adapter`.
    """
    gguf_names(adapter)
    for writer, edit in lora_edits(adapter, plan):
        if writer.bias is not None and not edit.reads_input and bool((writer.bias.float() @ edit.v.float()).any()):
            found = f"a bias at {writer.name}, which such an adapter leaves as it is"
            raise UserError(no_adapter("writers without a bias that is edited", found))


def save_gguf_adapter(adapter: Adapter, plan: EditPlan, file: Path, base: str) -> None:
    """Write the plan as an adapter of any GGUF of the unedited model ``base``, fp32.

    Raises:
        UserError: llama.cpp has no map of the family, a bias would have to be edited, or the plan is not of low rank.
    """
    check_gguf_adapter(adapter, plan)
    gguf, names = gguf_package(), gguf_names(adapter)
    factors = {writer.name: lora_factors(writer, edit) for writer, edit in lora_edits(adapter, plan)}
    alpha = Counter(one.rank for one in factors.values()).most_common(1)[0][0]
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(file, gguf_architecture(adapter))
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32(ALPHA, float(alpha))
    writer.add_name(f"SABER {plan.digest}")
    writer.add_string("general.base_model.0.name", base)
    writer.add_string(PLAN, plan.digest)
    for name, one in factors.items():
        writer.add_tensor(names[name] + A, one.a.numpy())
        writer.add_tensor(names[name] + B, (one.b * (one.rank / alpha)).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_gguf_adapter(adapter: Adapter, file: Path) -> dict[str, LoraFactors]:
    """By the writer's name, the factors that llama.cpp adds at scale 1: alpha / rank * B, and A.

    Raises:
        UserError: the file holds no adapter of this model's writers.
    """
    alpha, tensors = _read(file)
    names = gguf_names(adapter)
    found: dict[str, LoraFactors] = {}
    for writer in adapter.writers:
        name = names[writer.name]
        if name + A in tensors:
            a, b = (torch.from_numpy(tensors.pop(name + kind)) for kind in (A, B))
            found[writer.name] = LoraFactors(a, b * (alpha / a.shape[-2]), None)
    if tensors:
        raise UserError(f"expected an adapter of this model's writers in {file}, found {min(tensors)}")
    return found


def _read(file: Path) -> tuple[float, dict[str, np.ndarray]]:
    """An adapter's alpha and its tensors, copied out of the mapped file.

    Raises:
        UserError: the file is no GGUF, or no adapter.
    """
    gguf = gguf_package()
    try:
        reader = gguf.GGUFReader(file)
        alpha = float(reader.fields[ALPHA].contents())
    except (OSError, ValueError, LookupError) as error:
        raise UserError(f"expected an adapter in {file}, found: {error or type(error).__name__}") from error
    return alpha, {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
