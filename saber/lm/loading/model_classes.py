"""Which of transformers' classes a configuration is built with: a causal model, or one that also sees or hears."""

from __future__ import annotations

from typing import Any

from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_FOR_MULTIMODAL_LM_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
)

from saber.lm.architecture.text_half import text_config
from saber.types import UserError

WITH_TEXT = (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, MODEL_FOR_MULTIMODAL_LM_MAPPING)


def answering(config: Any) -> Any:
    """The part of a configuration whose model answers in text: of one that also speaks its thinker, else all of it.

    transformers fills the thinker from the whole checkpoint, and baking on disk leaves the other parts as they are.
    """
    part = getattr(config, "thinker_config", None)
    if part is None:
        return config
    packing = getattr(config, "quantization_config", None)
    if packing is not None:
        part.quantization_config = packing
    return part


def require_text(path: str, config: Any) -> None:
    """Pass for a configuration that transformers, or code that comes with it, builds a model of text from.

    Raises:
        UserError: it is of a model that takes or gives something else.
    """
    is_known = any(type(config) in mapping for mapping in WITH_TEXT)
    if not is_known and not getattr(config, "auto_map", None):
        raise UserError(
            f"expected a model that answers in text at {path}, found model_type {config.model_type!r}, of"
            " which transformers builds no causal and no multimodal language model"
        )


def auto_class(config: Any) -> Any:
    """Which of transformers' classes loads a configuration: one of all its parts for a wrapper, else the causal one.

    A wrapper that is in several lists is loaded whole: as a causal model some give their text half alone, and an export
    would drop the rest.
    """
    in_causal, in_image_text, in_multimodal = (type(config) in mapping for mapping in WITH_TEXT)
    is_wrapper = text_config(config) is not config
    if in_image_text and (is_wrapper or not in_causal):
        return AutoModelForImageTextToText
    return AutoModelForMultimodalLM if in_multimodal and not in_causal else AutoModelForCausalLM
