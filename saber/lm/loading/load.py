"""The one door to transformers: load a model by path or hub id, or build one from a configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from saber.config import ModelConfig
from saber.lm.architecture.adapter import Adapter, adapt, with_chat
from saber.lm.architecture.devices import one_device, spread
from saber.lm.architecture.writer import EDITABLE_DTYPES
from saber.lm.chat.chat_format import ChatFormat
from saber.lm.loading.checkpoint_kind import refuse_unfilled, refuse_unknown_tokens, refuse_what_is_no_checkpoint
from saber.lm.loading.load_errors import not_loaded
from saber.lm.loading.model_classes import answering, auto_class, require_text
from saber.lm.loading.packing import bitsandbytes, packed_as, refuse_dtype, refuse_unread
from saber.types import UserError
from saber.vocabulary import Quantise

NOT_LOADED = (ImportError, OSError, ValueError, RuntimeError, SafetensorError)  # what transformers says a mistake with


class Reading(TypedDict, total=False):
    """How a model is read, as `load` says it."""

    dtype: str | torch.dtype
    device: str
    revision: str | None
    trust_remote_code: bool
    quantise: Quantise
    device_map: str | Mapping[str, str | int] | None
    max_memory: Mapping[str, str] | None
    offload_folder: str | None
    attn_implementation: str | None


def load(
    path: str,
    *,
    dtype: str | torch.dtype = "auto",
    device: str = "auto",
    revision: str | None = None,
    system_prompt: str | None = None,
    template: Mapping[str, Any] | Literal["plain"] | None = None,
    prompt_form: str | None = None,
    prefill: str | None = None,
    trust_remote_code: bool = False,
    quantise: Quantise = "none",
    device_map: str | Mapping[str, str | int] | None = None,
    max_memory: Mapping[str, str] | None = None,
    offload_folder: str | None = None,
    attn_implementation: str | None = None,
) -> Adapter:
    """Load a chat model and its tokenizer from a folder or the hub, its linear maps in four bits if so asked.

    ``template``, ``prompt_form`` and ``prefill`` are those of `saber.config.ModelConfig`. Whether the model thinks
    before it answers is not looked at: `saber.with_thinking` does.
    With ``device_map`` accelerate spreads it over the devices there are, within ``max_memory`` by device, and keeps
    what has no room in main memory or in ``offload_folder``.

    Raises:
        UserError: nothing can be loaded from there, its weights are a pickle or an adapter, the checkpoint does not
            fill every weight, a package that it needs is not there, or the tokenizer belongs to another model.
    """
    model, tokenizer = read_model(
        path,
        dtype=dtype,
        device=device,
        revision=revision,
        trust_remote_code=trust_remote_code,
        quantise=quantise,
        device_map=device_map,
        max_memory=max_memory,
        offload_folder=offload_folder,
        attn_implementation=attn_implementation,
    )
    adapter = adapt(model, tokenizer, system_prompt=system_prompt)
    return with_chat(adapter, chat_of(template, prompt_form, prefill), system_prompt)


def read_model(path: str, **how: Unpack[Reading]) -> tuple[Any, Any]:
    """The model and the tokenizer that `load` adapts, whatever family they are of.

    Raises:
        UserError: as of `load`.
    """
    place, quantise, dtype = (
        one_device(how.get("device", "auto")),
        how.get("quantise", "none"),
        how.get("dtype", "auto"),
    )
    common = {"revision": how.get("revision"), "trust_remote_code": how.get("trust_remote_code", False)}
    refuse_what_is_no_checkpoint(path)
    device_map = how.get("device_map")
    placing = {} if device_map is None else spread(device_map, how.get("max_memory"), how.get("offload_folder"))
    try:
        packing = bitsandbytes(quantise, place)
        whole = AutoConfig.from_pretrained(path, **common)
        config = answering(whole)
        require_text(path, config)
        refuse_unread(path, config)
        refuse_dtype(path, config, dtype)
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left", **common)
        model, report = auto_class(config).from_pretrained(
            path,
            dtype=dtype,
            output_loading_info=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are in the report, and refused below
            attn_implementation=how.get("attn_implementation"),
            **common,
            **{**packing, **placing},
            **({} if config is whole else {"config": config}),
        )
    except NOT_LOADED as error:
        raise UserError(not_loaded(path, error, quantise)) from error
    refuse_unfilled(path, report)
    n_known = int(model.get_input_embeddings().weight.shape[0])
    refuse_unknown_tokens(path, n_known, tokenizer.get_vocab(), tokenizer.pad_token)
    if (tokenizer.pad_token_id or 0) >= n_known:
        tokenizer.pad_token = tokenizer.eos_token  # it is looked up, though what it gives is masked
    stays = packing or placing or (packed_as(config) is not None and not _in_full(model))
    return model if stays else model.to(place), tokenizer


def chat_of(
    template: Mapping[str, Any] | Literal["plain"] | None, prompt_form: str | None, prefill: str | None
) -> ChatFormat:
    """The chat format that a configuration asks for, before anything is looked up in the model.

    Raises:
        UserError: a plain template without a form, or a form without a plain template.
    """
    if (template == "plain") != (prompt_form is not None):
        raise UserError("expected template='plain' together with a prompt_form, found one of them: give both")
    arguments = {} if template is None or template == "plain" else dict(template)
    return ChatFormat(arguments=arguments, prompt_form=prompt_form, prefill=prefill or "")


def load_as(
    model: ModelConfig,
    path: str,
    *,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    quantise: Quantise = "none",
) -> Adapter:
    """Load a checkpoint as the configured model is, in its dtype unless another is given.

    The configured revision and packing are the base's own: they hold for ``path``
    only where they are given.

    Raises:
        UserError: as of `load`.
    """
    how: Reading = {**reading_of(model), "revision": revision, "quantise": quantise}
    if dtype is not None:
        how["dtype"] = dtype
    return load(
        path,
        system_prompt=model.system_prompt,
        template=model.template,
        prompt_form=model.prompt_form,
        prefill=model.prefill,
        **how,
    )


def reading_of(model: ModelConfig) -> Reading:
    """How a model is read as it is configured."""
    return Reading(
        dtype=model.dtype,
        device=model.device,
        revision=model.revision,
        trust_remote_code=model.trust_remote_code,
        quantise=model.quantise,
        device_map=model.device_map,
        max_memory=model.max_memory,
        offload_folder=model.offload_folder,
        attn_implementation=model.attn_implementation,
    )


def _in_full(model: Any) -> bool:
    """Whether every parameter is stored as plain numbers, so that the model can be moved."""
    return all(parameter.dtype in EDITABLE_DTYPES for parameter in model.parameters())


def load_classifier(path: str, *, device: str = "auto", revision: str | None = None) -> tuple[Any, Any]:
    """Load a sequence classifier and its tokenizer from a folder or the hub.

    Raises:
        UserError: there is none.
    """
    refuse_what_is_no_checkpoint(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
        model = AutoModelForSequenceClassification.from_pretrained(path, revision=revision, use_safetensors=True)
    except (OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"expected a sequence classifier at {path}, found: {first[:160]}") from error
    return model.to(one_device(device)).eval(), tokenizer


def build_model(model_type: str, config: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> Any:
    """Build a language model with fresh weights from a configuration, downloading nothing."""
    about = AutoConfig.for_model(model_type, **config)
    return auto_class(about).from_config(about, dtype=dtype)


def build_tokenizer(tokenizer: Any, **special: Any) -> PreTrainedTokenizerFast:
    """Wrap a ``tokenizers.Tokenizer`` as a transformers tokenizer (special tokens, chat template, padding side)."""
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def build_skeleton(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The model of a checkpoint without its weights: every parameter has a shape and no memory.

    Raises:
        UserError: the folder holds no model's configuration.
    """
    try:
        config = answering(AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code))
        with torch.device("meta"):
            return auto_class(config).from_config(config, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise UserError(not_loaded(str(folder), error)) from error


def quiet() -> None:
    """Keep transformers' own progress bars and notices out of the way of ours."""
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # else a line for every product
