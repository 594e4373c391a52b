"""Packed weights: what a checkpoint is quantised with, and what can be computed of it here."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers.quantizers import AutoHfQuantizer

from saber.lm.architecture.text_half import text_config
from saber.types import UserError
from saber.vocabulary import Quantise

COMPUTED_IN = {"fp8": ("auto", "bfloat16"), "mxfp8": ("auto", "bfloat16")}


def packed_as(config: Any) -> str | None:
    """The method that a checkpoint's configuration says its weights are packed with."""
    quantisation = _quantisation(config)
    if quantisation is None:
        return None
    method = (
        quantisation.get("quant_method")
        if isinstance(quantisation, dict)
        else getattr(quantisation, "quant_method", None)
    )
    return str(getattr(method, "value", method))


def _quantisation(config: Any) -> Any:
    """What a configuration, or that of its text half, says of packing, as transformers looks for it."""
    own = getattr(config, "quantization_config", None)
    return own or getattr(text_config(config), "quantization_config", None)


def bitsandbytes(bits: Quantise, place: str) -> dict[str, Any]:
    """What makes transformers pack linear maps as they are read; a packed model cannot be moved afterwards.

    Four bits are NF4 (Dettmers et al. 2023, QLoRA), eight are LLM.int8 (Dettmers et al. 2022); none packs nothing.
    """
    if bits == "none":
        return {}
    packing = transformers.BitsAndBytesConfig(
        load_in_4bit=bits == "4bit", load_in_8bit=bits == "8bit", bnb_4bit_quant_type="nf4"
    )
    return {"quantization_config": packing, "device_map": {"": place}}


def refuse_unread(path: str, config: Any) -> None:
    """Pass for plain weights, and for weights packed in a way that transformers knows.

    Raises:
        UserError: they are packed in another, whose scales transformers leaves out without a word.
    """
    quantisation = _quantisation(config)
    if isinstance(quantisation, dict) and not AutoHfQuantizer.supports_quant_method(quantisation):
        raise UserError(
            f"expected plain weights, or a packing that transformers knows, in {path}, found {packed_as(config)}: it"
            " would read them as plain numbers without their scales; name the checkpoint that they were made from"
        )


def refuse_dtype(path: str, config: Any, dtype: str | torch.dtype) -> None:
    """Pass where a packed checkpoint can compute in the dtype that is asked for.

    Raises:
        UserError: it cannot.
    """
    method = packed_as(config)
    named = str(dtype).removeprefix("torch.")
    allowed = COMPUTED_IN.get(method or "")
    if allowed is not None and named not in allowed:
        raise UserError(
            f"expected model.dtype={' or '.join(allowed)} for {path}, whose weights are {method}, found {named}"
        )
