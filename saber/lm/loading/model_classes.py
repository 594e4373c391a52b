"""Which of transformers' classes a configuration is built with: a causal language model, or one of images and text."""

from __future__ import annotations

from typing import Any

from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)

from saber.lm.architecture.text_half import text_config
from saber.types import UserError


def require_text(path: str, config: Any) -> None:
    """Pass for a configuration that transformers, or code that comes with it, builds a model of text from.

    Raises:
        UserError: it is of a model that takes or gives something else.
    """
    is_known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING or type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    if not is_known and not getattr(config, "auto_map", None):
        raise UserError(
            f"expected a model that answers in text at {path}, found model_type {config.model_type!r}, of"
            " which transformers builds no causal and no image-text model"
        )


def auto_class(config: Any) -> Any:
    """Which of transformers' classes loads a configuration: image-text for a multimodal wrapper, else causal.

    A wrapper that is in both is loaded whole: as a causal model some give their text half alone, and an export would
    drop the rest.
    """
    in_causal, in_image_text = (
        type(config) in mapping for mapping in (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING)
    )
    is_wrapper = text_config(config) is not config
    return AutoModelForImageTextToText if in_image_text and (is_wrapper or not in_causal) else AutoModelForCausalLM
