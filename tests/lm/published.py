"""Tiny checkpoints as families are published: multimodal, in shards, packed, with heads that transformers ignores."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText

from saber.lm.loading.load import build_model
from tests.conftest import randomise
from tests.lm.families import CASES, EXPERTS, LOCAL_EXPERTS, SEED, SLIDING, SMALL

INDEX = "model.safetensors.index.json"
BLOCK = 16  # the side of an FP8 block here; published ones have 128
BESIDE = {
    "preprocessor_config.json": '{"do_resize": true}\n',
    "processor_config.json": '{"image_seq_length": 4}\n',
    "chat_template.jinja": "{{ messages }}",
    "additional_chat_templates/tools.jinja": "{{ tools }}",
    "modeling_own.py": "# code that came with the model\n",
    "LICENSE": "a licence\n",
}
OTHER_FORMS = ("pytorch_model.bin", "consolidated.safetensors", "original/model.safetensors", "model.gguf", ".cache/x")


@dataclass(frozen=True)
class Published:
    """How a checkpoint is made, and a pattern of the stored names that an edit of every writer changes."""

    make: Callable[[Path], None]
    edited: str
    scales: str | None = None  # of stored names that are gone once weights are unpacked


def plain(case: str, shard: str = "5GB", image: bool = False) -> Callable[[Path], None]:
    """Save the tiny model of a case in bfloat16, in shards of a size, as the multimodal model where ``image``."""

    def make(folder: Path) -> None:
        _model(*CASES[case], image=image).save_pretrained(folder, max_shard_size=shard)

    return make


def with_extra_head(case: str, names: dict[str, tuple[int, ...]], image: bool = False) -> Callable[[Path], None]:
    """The same in shards, and one shard more of tensors that transformers does not read."""

    def make(folder: Path) -> None:
        plain(case, "20KB", image)(folder)
        generator = torch.Generator().manual_seed(3)
        extra = {name: torch.randn(shape, generator=generator).bfloat16() for name, shape in names.items()}
        save_file(extra, folder / "model-mtp.safetensors", {"format": "pt"})
        index = json.loads((folder / INDEX).read_text())
        index["weight_map"] |= dict.fromkeys(extra, "model-mtp.safetensors")
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")

    return make


def in_mxfp4(folder: Path) -> None:
    """gpt-oss as it is published: the experts' matrices as 4-bit floats with a scale for 32 of them."""
    config = {**LOCAL_EXPERTS, "sliding_window": 4, "layer_types": SLIDING["layer_types"]}
    _model("gpt_oss", {**config, "hidden_size": 32, "intermediate_size": 32}).save_pretrained(folder)
    tensors, packed = load_file(folder / "model.safetensors"), {}
    generator = torch.Generator().manual_seed(4)
    for name, tensor in tensors.items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            packed[name] = tensor
            continue
        n_experts, n_in, n_out = tensor.shape
        shape = (n_experts, n_out, n_in // 32, 16)
        packed[f"{name}_blocks"] = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        packed[f"{name}_scales"] = torch.randint(121, 125, shape[:-1], generator=generator, dtype=torch.uint8)
    save_file(packed, folder / "model.safetensors", {"format": "pt"})
    _say_packed(folder, {"quant_method": "mxfp4", "modules_to_not_convert": ["self_attn", "router", "lm_head"]})


def in_fp8(model_type: str, config: dict[str, Any]) -> Callable[[Path], None]:
    """Every matrix inside the blocks as 8-bit floats with a scale for each block, in two shards."""

    def make(folder: Path) -> None:
        _model(model_type, config).save_pretrained(folder)
        packed: dict[str, torch.Tensor] = {}
        for name, tensor in load_file(folder / "model.safetensors").items():
            if "layers" not in name or tensor.ndim != 2 or "norm" in name or name.endswith("mlp.gate.weight"):
                packed[name] = tensor
                continue
            rows, columns = tensor.shape
            grid = tensor.float().reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
            scale = grid.abs().amax(dim=(1, 3)) / 448
            codes = (grid / scale[:, None, :, None]).reshape(rows, columns)
            packed |= {name: codes.to(torch.float8_e4m3fn), f"{name}_scale_inv": scale}
        (folder / "model.safetensors").unlink()
        names = sorted(packed)
        halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
        for file, kept in halves.items():  # weights and their scales fall apart
            save_file({name: packed[name] for name in kept}, folder / file, {"format": "pt"})
        shards = {name: file for file, kept in halves.items() for name in kept}
        (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": shards}))
        _say_packed(
            folder,
            {
                "quant_method": "fp8",
                "activation_scheme": "dynamic",
                "weight_block_size": [BLOCK, BLOCK],
                "modules_to_not_convert": ["lm_head"],
            },
        )

    return make


def with_files(folder: Path) -> None:
    """Put what comes with a published model beside its weights, and copies of the weights in other forms."""
    for name, text in BESIDE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    for name in OTHER_FORMS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"the unedited weights")


def _model(model_type: str, config: dict[str, Any], image: bool = False) -> Any:
    if image:
        torch.manual_seed(0)
        model_config = AutoConfig.for_model(model_type, **config)
        model = AutoModelForImageTextToText.from_config(model_config, dtype=torch.bfloat16)
    else:
        model = build_model(model_type, config, torch.bfloat16)
    randomise(model, SEED)
    return model


def _say_packed(folder: Path, how: dict[str, Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": how}, indent=2))


WIDE = {**SMALL, "hidden_size": 32, "intermediate_size": 64}
PUBLISHED = {
    "llama, tied, in shards": Published(
        plain("llama", "10KB"), r"model\.layers\.\d+\.(self_attn\.o_proj|mlp\.down_proj)\.(weight|bias)"
    ),
    "gpt2": Published(plain("gpt2"), r"transformer\.h\.\d+\.(attn|mlp)\.c_proj\.(weight|bias)"),
    "gemma3, multimodal": Published(
        plain("gemma3"), r".*language_model.*layers\.\d+\.(self_attn\.o_proj|mlp\.down_proj)\.weight"
    ),
    "gemma4, multimodal": Published(
        plain("gemma4", "20KB"),
        r"model\.language_model\.layers\.\d+\.(self_attn\.o_proj|mlp\.down_proj|per_layer_projection)\.weight",
    ),
    "llama4, multimodal": Published(
        plain("llama4", image=True),
        r"language_model\.model\.layers\.\d+\.(self_attn\.o_proj|feed_forward\.(down_proj|shared_expert\.down_proj"
        r"|experts\.down_proj))(\.weight)?",
    ),
    "qwen3_5, multimodal, with a head for several tokens": Published(
        with_extra_head("qwen3_5", {"mtp.fc.weight": (24, 48), "mtp.layers.0.mlp.down_proj.weight": (24, 40)}, True),
        r"model\.language_model\.layers\.\d+\.(self_attn\.o_proj|linear_attn\.out_proj|mlp\.down_proj)\.weight",
    ),
    "deepseek_v3, experts apart, with a layer more": Published(
        with_extra_head(
            "deepseek_v3", {"model.layers.4.mlp.down_proj.weight": (24, 40), "model.layers.4.eh_proj": (4,)}
        ),
        r"model\.layers\.[0-3]\.(self_attn\.o_proj|mlp\.(shared_experts\.|experts\.\d+\.)?down_proj)\.weight",
    ),
    "mixtral, experts apart": Published(
        plain("mixtral"), r"model\.layers\.\d+\.(self_attn\.o_proj|block_sparse_moe\.experts\.\d+\.w2)\.weight"
    ),
    "nemotron_h": Published(
        plain("nemotron_h"),
        r"(model|backbone)\.layers\.\d+\.mixer\.(o_proj|out_proj|(shared_experts\.|experts\.\d+\.)?down_proj)"
        r"\.(weight|bias)",
    ),
    "gpt_oss in MXFP4": Published(
        in_mxfp4,
        r"model\.layers\.\d+\.(self_attn\.o_proj\.(weight|bias)|mlp\.experts\.down_proj(_bias)?)",
        r".*_(blocks|scales)",
    ),
    "qwen3 in FP8": Published(
        in_fp8("qwen3", WIDE), r"model\.layers\.\d+\.(self_attn\.o_proj|mlp\.down_proj)\.weight", r".*_scale_inv"
    ),
    "qwen3_moe in FP8, experts apart": Published(
        in_fp8("qwen3_moe", {**EXPERTS, **WIDE, "mlp_only_layers": [0]}),
        r"model\.layers\.\d+\.(self_attn\.o_proj|mlp\.(experts\.\d+\.)?down_proj)\.weight",
        r".*_scale_inv",
    ),
}
