"""What is no plain chat model is told in one line that says what it is and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from saber.lm.architecture.adapter import adapt
from saber.lm.architecture.verify import verify_writers
from saber.lm.architecture.weights import weights_digest
from saber.lm.loading.load import build_model, load
from saber.lm.loading.load_errors import not_loaded
from saber.lm.loading.model_classes import answering, auto_class
from saber.lm.loading.packing import packed_as
from saber.organism.tokenizer import organism_tokenizer
from saber.types import UserError
from tests.conftest import randomise
from tests.lm.families import SMALL
from tests.lm.tiny_types import build_type, tiny_config


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with the organism's tokenizer."""
    folder = tmp_path_factory.mktemp("whole")
    tokenizer = organism_tokenizer()
    model = build_model("llama", {**SMALL, "num_hidden_layers": 2, "vocab_size": len(tokenizer)})
    randomise(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def checkpoint(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    shutil.copytree(whole, tmp_path / "model")
    return tmp_path / "model"


def with_config(folder: Path, **changes: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def as_peft(folder: Path) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "the/base"}))
    return folder


def as_gguf(folder: Path) -> Path:
    (folder / "model.safetensors").unlink()
    (folder / "tiny-Q4.gguf").write_bytes(b"GGUF")
    return folder


def gguf_itself(folder: Path) -> Path:
    return as_gguf(folder) / "tiny-Q4.gguf"


def truncated(folder: Path) -> Path:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-64])
    return folder


def without_tokenizer(folder: Path) -> Path:
    for file in [*folder.glob("token*"), *folder.glob("chat_template*"), *folder.glob("special*")]:
        file.unlink()
    return folder


def with_fewer_tokens(folder: Path) -> Path:
    model = build_model("llama", {**SMALL, "num_hidden_layers": 2, "vocab_size": 40})
    model.save_pretrained(folder)
    return folder


def gptq(folder: Path) -> Path:
    return with_config(folder, quantization_config={"quant_method": "gptq", "bits": 4})


def compressed(folder: Path) -> Path:
    return with_config(folder, quantization_config={"quant_method": "compressed-tensors", "config_groups": {}})


def awq(folder: Path) -> Path:
    return with_config(folder, quantization_config={"quant_method": "awq", "bits": 4})


def for_a_gpu(folder: Path) -> Path:
    return with_config(folder, quantization_config={"quant_method": "spqr"})


def modelopt(folder: Path) -> Path:
    return with_config(folder, quantization_config={"quant_method": "modelopt", "quant_algo": "FP8"})


def of_other_shapes(folder: Path) -> Path:
    return with_config(folder, intermediate_size=48)


def vision(folder: Path) -> Path:
    return with_config(folder, model_type="vit")


REFUSED: list[tuple[Callable[[Path], Path], str]] = [
    (as_peft, r"expected a whole model in .*, found a PEFT adapter of the/base: merge it first"),
    (as_gguf, r"expected a folder with safetensors at .*, found tiny-Q4.gguf: GGUF is for running a model"),
    (gguf_itself, r"expected a folder with safetensors at .*gguf, found tiny-Q4.gguf"),
    (truncated, r"expected whole safetensors files in .*, found one that is cut or damaged"),
    (without_tokenizer, r"expected a tokenizer beside the weights in .*, found none: copy the tokenizer's files"),
    (with_fewer_tokens, r"expected a tokenizer of at most the model's 40 tokens in .*, found \d+ more, such as '"),
    (vision, r"expected a model that answers in text at .*, found model_type 'vit', of which transformers builds no"),
    (gptq, r"expected the packages that .* needs, found: .*(optimum|gptqmodel)"),
    (awq, r"expected the packages that .* needs, found: .*gptqmodel"),
    (for_a_gpu, r"expected a model in .*, found: GPU is required to run SpQR"),
    (modelopt, r"or a packing that transformers knows, in .*, found modelopt: it would read them as plain numbers"),
    (of_other_shapes, r"found 6 others: model\.layers\.0\.mlp\.down_proj\.weight is \(24, 40\), not \(24, 48\); the"),
    (compressed, r"expected the packages that .* needs, found: .*compressed-tensors"),
]


@pytest.mark.parametrize(("change", "line"), REFUSED, ids=lambda param: getattr(param, "__name__", ""))
def test_what_cannot_be_loaded_is_one_line(change: Callable[[Path], Path], line: str, checkpoint: Path) -> None:
    with pytest.raises(UserError, match=line):
        load(str(change(checkpoint)), device="cpu")


def test_a_missing_package_is_never_called_bitsandbytes_unless_it_is() -> None:
    error = ImportError("TimmWrapperModel requires the PIL library\nbut it was not found in your environment.\npip ...")
    said = not_loaded("the/model", error)
    assert said == (
        "expected the packages that the/model needs, found: TimmWrapperModel requires the PIL library;"
        " but it was not found in your environment.; pip ..."
    )
    assert "model.quantise=4bit needs bitsandbytes" in not_loaded(
        "the/model", ImportError("Using `bitsandbytes` 4-bit quantization requires bitsandbytes"), "4bit"
    )


def test_a_device_that_is_not_here_is_told_before_anything_is_read(checkpoint: Path) -> None:
    with pytest.raises(UserError, match=r"expected model.device to be a device of this machine \(.*\), found 'cuda:9'"):
        load(str(checkpoint), device="cuda:9")


def test_eight_bit_floats_are_computed_in_bfloat16(checkpoint: Path) -> None:
    with_config(checkpoint, quantization_config={"quant_method": "fp8", "weight_block_size": [8, 8]})
    with pytest.raises(
        UserError, match=r"expected model.dtype=auto or bfloat16 for .*, whose weights are fp8, found float32"
    ):
        load(str(checkpoint), device="cpu", dtype="float32")


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused_by_name(name: str, value: float, checkpoint: Path) -> None:
    file = checkpoint / "model.safetensors"
    tensors = load_file(file)
    tensors[name][-1, 3] = value
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"expected finite weights, found NaN or infinity in {name}: the checkpoint is"):
        verify_writers(load(str(checkpoint), device="cpu", dtype="float32"))


def test_a_padding_token_beyond_the_embedding_is_never_looked_up(checkpoint: Path) -> None:
    settings = json.loads((checkpoint / "tokenizer_config.json").read_text())
    tokenizer = organism_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<an extra padding token>"})
    tokenizer.save_pretrained(checkpoint)
    assert settings["pad_token"] != "<an extra padding token>"
    assert load(str(checkpoint), device="cpu").tokenizer.pad_token_id < len(tokenizer) - 1


def test_a_buffer_without_axes_has_a_digest() -> None:
    model = build_model("llama", {**SMALL, "num_hidden_layers": 1})
    before = weights_digest(model)
    model.register_buffer("scalar", torch.tensor(1.0))
    assert weights_digest(model) != before


def test_multimodal_types_are_loaded_whole() -> None:
    for name in ("llava", "qwen3_5", "gemma3"):
        assert auto_class(tiny_config(name, {})).__name__ == "AutoModelForImageTextToText"
    for name in ("llama", "qwen3_5_text", "gemma3_text"):
        assert auto_class(tiny_config(name, {})).__name__ == "AutoModelForCausalLM"
    with pytest.raises(UserError, match=r"found deepseek_v4: hyper-connections"):
        adapt(build_type("deepseek_v4", {}), None)


def test_how_weights_are_packed_is_also_said_by_a_text_half_and_by_a_whole_around_its_thinker() -> None:
    packing = {"quant_method": "fp8"}
    wrapper = tiny_config("llava", {})
    assert packed_as(wrapper) is None
    wrapper.text_config.quantization_config = packing
    assert packed_as(wrapper) == "fp8"
    whole = AutoConfig.for_model("qwen2_5_omni", quantization_config=packing)
    assert answering(whole).model_type == "qwen2_5_omni_thinker"
    assert packed_as(answering(whole)) == "fp8"
