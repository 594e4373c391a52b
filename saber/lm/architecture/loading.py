"""The one door to transformers: load a model by path or hub id, or build one from a configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    MergeModulelist,
    WeightConverter,
    WeightRenaming,
    rename_source_key,
)

from saber.config import ModelConfig
from saber.lm.architecture.adapter import Adapter, adapt
from saber.types import DIGEST_LENGTH, UserError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def load(
    path: str,
    *,
    dtype: str | torch.dtype = "auto",
    device: str = "auto",
    revision: str | None = None,
    system_prompt: str | None = None,
    trust_remote_code: bool = False,
    quantise: str = "none",
) -> Adapter:
    """Load a chat model and its tokenizer from a folder or the hub, its linear maps in four bits if so asked.

    Raises:
        UserError: nothing can be loaded from there, its weights are a pickle, the checkpoint does not fill every
            weight, or bitsandbytes is not there to quantise with.
    """
    place = "cuda" if device == "auto" and torch.cuda.is_available() else device
    place = "cpu" if place == "auto" else place
    common = {"revision": revision, "trust_remote_code": trust_remote_code}
    _refuse_pickle(path)
    packing = _four_bits(place) if quantise == "4bit" else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left", **common)
        model, report = AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype, output_loading_info=True, use_safetensors=True, **common, **packing
        )
    except ImportError as error:
        raise UserError("model.quantise=4bit needs bitsandbytes, found none: pip install bitsandbytes") from error
    except (OSError, ValueError) as error:
        raise UserError(_not_loaded(path, error)) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(f"expected {path} to fill every weight, found {len(missing)} missing: {missing[0]}, ...")
    return adapt(model if packing else model.to(place), tokenizer, system_prompt=system_prompt)


def load_as(
    model: ModelConfig,
    path: str,
    *,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    quantise: str = "none",
) -> Adapter:
    """Load a checkpoint as the configured model is, in its dtype unless another is given.

    The configured revision and packing are the base's own: they hold for ``path`` only where they are given.

    Raises:
        UserError: as of `load`.
    """
    return load(
        path,
        dtype=model.dtype if dtype is None else dtype,
        device=model.device,
        revision=revision,
        system_prompt=model.system_prompt,
        trust_remote_code=model.trust_remote_code,
        quantise=quantise,
    )


def _four_bits(place: str) -> dict[str, Any]:
    """What makes transformers pack linear maps as they are read; a packed model cannot be moved afterwards."""
    packing = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    return {"quantization_config": packing, "device_map": {"": place}}


def load_classifier(path: str, *, device: str = "auto", revision: str | None = None) -> tuple[Any, Any]:
    """Load a sequence classifier and its tokenizer from a folder or the hub.

    Raises:
        UserError: there is none.
    """
    place = "cuda" if device == "auto" and torch.cuda.is_available() else device
    _refuse_pickle(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
        model = AutoModelForSequenceClassification.from_pretrained(path, revision=revision, use_safetensors=True)
    except (OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"expected a sequence classifier at {path}, found: {first[:160]}") from error
    return model.to("cpu" if place == "auto" else place).eval(), tokenizer


def _refuse_pickle(path: str) -> None:
    """Pass unless a folder's weights are pickles only; nothing of one is ever read.

    Raises:
        UserError: they are.
    """
    folder = Path(path)
    pickles = sorted(one.name for end in PICKLES for one in folder.glob(f"*{end}")) if folder.is_dir() else []
    if pickles and not any(folder.glob("*.safetensors")):
        raise UserError(
            f"expected weights as safetensors in {path}, found {pickles[0]}: a pickle, and reading one runs whatever"
            " code its author put there; have it converted where that does no harm, or choose another checkpoint"
        )


def _not_loaded(path: str, error: Exception) -> str:
    """One line on what could not be loaded, and what to do."""
    if "trust_remote_code" in str(error):
        return (
            f"expected a model that transformers knows at {path}, found one that comes with Python code of its own;"
            " model.trust_remote_code=true runs that code with your rights: read it first"
        )
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(path).exists():
        return f"expected a model in {path}, found: {first}"
    return (
        f"could not reach model {path!r}: it is no local folder and the hub did not give it ({first[:160]});"
        " set model.path to a folder that you have downloaded, or model=organism for the embedded one"
    )


def build_model(model_type: str, config: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> Any:
    """Build a causal language model with fresh weights from a configuration, downloading nothing."""
    made = AutoConfig.for_model(model_type, **config)
    return AutoModelForCausalLM.from_config(made, dtype=dtype)


def build_tokenizer(tokenizer: Any, **special: Any) -> PreTrainedTokenizerFast:
    """Wrap a ``tokenizers.Tokenizer`` as a transformers tokenizer (special tokens, chat template, padding side)."""
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def build_skeleton(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The model of a checkpoint without its weights: every parameter has a shape and no memory.

    Raises:
        UserError: the folder holds no model's configuration.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise UserError(_not_loaded(str(folder), error)) from error


def parameters_of(model: Any, stored: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """The parameter that each stored tensor becomes, and whether it is one expert's part of it.

    A tensor that becomes its parameter by anything but renaming and stacking is left out.
    """
    conversions = get_model_conversion_mapping(model)
    renamings = [one for one in conversions if isinstance(one, WeightRenaming)]
    converters = [one for one in conversions if isinstance(one, WeightConverter)]
    of_pattern = {pattern: one for one in converters for pattern in one.source_patterns}
    own = dict(model.named_parameters())
    found: dict[str, tuple[str, bool]] = {}
    for key in stored:
        name, pattern = rename_source_key(key, renamings, converters, model.base_model_prefix, own)
        operations = of_pattern[pattern].operations if pattern is not None else []
        if name in own and all(isinstance(one, MergeModulelist) for one in operations):
            found[key] = (name, bool(operations))
    return found


def weights_digest(model: Any) -> str:
    """Twelve hex digits of every parameter and buffer: name, shape, dtype and bytes."""
    sha = hashlib.blake2b()
    for name, tensor in sorted(model.state_dict().items()):
        sha.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        sha.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return sha.hexdigest()[:DIGEST_LENGTH]


def quiet() -> None:
    """Keep transformers' own progress bars and notices out of the way of ours."""
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
