"""The weights of a model under adapters, as a model without them would hold them. Only torch is needed."""

from __future__ import annotations

from typing import Any

import torch


def edited_weights(model: Any) -> dict[str, torch.Tensor]:
    """W + B A of every adapted linear map, by its name in the model that the adapters were put on."""
    return {
        f"{name.removeprefix('base_model.model.')}.weight": (
            module.base_layer.weight.data + module.get_delta_weight("default")
        ).contiguous()
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight") and hasattr(module, "base_layer")
    }
