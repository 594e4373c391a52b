"""Write a tiny model as a GGUF without a vocabulary, and ask llama.cpp for its logits: an implementation of its own."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import gguf
import torch

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.editing.gguf import ARCHITECTURES, gguf_architecture
from saber.lm.loading.load import build_model
from tests.conftest import randomise
from tests.lm.families import EXPERTS, SEED, SLIDING, SMALL

CONTEXT = 64
F32_CACHE = {"type_k": 0, "type_v": 0}  # llama.cpp keeps keys and values in half precision unless told
# What llama.cpp's graphs take for granted: as many heads as the width holds, one key a head, Gemma's scale of queries.
LLAMA_CPP_CASES: dict[str, dict[str, Any]] = {
    "qwen2": {**SMALL, "head_dim": 6},
    "olmoe": {**EXPERTS, "head_dim": 6, "intermediate_size": 16, "num_key_value_heads": 4},
    "gemma2": {**SLIDING, "query_pre_attn_scalar": 8},
}


def small_model(model_type: str) -> Adapter:
    """A tiny random model that both sides can run."""
    model = build_model(model_type, LLAMA_CPP_CASES[model_type])
    randomise(model, SEED)
    return adapt(model, None)


def write_gguf(adapter: Adapter, file: Path) -> None:
    """Every parameter under its GGUF name in fp32, experts stacked, Gemma's gains as 1 + w."""
    config, arch = adapter.model.config, gguf_architecture(adapter)
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, ARCHITECTURES[adapter.model_type]), adapter.n_layers)
    writer = gguf.GGUFWriter(file, arch)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(adapter.n_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if arch == "olmoe":
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
        writer.add_sliding_window(config.sliding_window)
    writer.add_tokenizer_model("none")
    for name, tensor in _stored(adapter):
        gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert gguf_name is not None, name
        value = 1.0 + tensor if arch == "gemma2" and "norm" in name else tensor
        writer.add_tensor(
            gguf_name if gguf_name.endswith((".weight", ".bias")) else f"{gguf_name}.weight", value.numpy()
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _stored(adapter: Adapter) -> list[tuple[str, torch.Tensor]]:
    """Parameters by name, gate and up of fused experts apart."""
    parameters: list[tuple[str, torch.Tensor]] = []
    for name, parameter in adapter.model.named_parameters():
        tensor = parameter.detach().float().contiguous()
        if name.endswith("experts.gate_up_proj"):
            gate, up = tensor.chunk(2, dim=1)
            stem = name.removesuffix("gate_up_proj")
            parameters += [(f"{stem}gate_proj", gate.contiguous()), (f"{stem}up_proj", up.contiguous())]
        else:
            parameters.append((name, tensor))
    return parameters


class LlamaCpp:
    """A GGUF in llama.cpp on one thread, with an adapter at a scale."""

    def __init__(self, llama_cpp: Any, base: Path, adapter: Path | None = None, scale: float | None = None) -> None:
        how = {} if scale is None else {"lora_path": str(adapter), "lora_scale": scale}
        self._model = llama_cpp.Llama(
            str(base), n_ctx=CONTEXT, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False, **F32_CACHE, **how
        )

    def __enter__(self) -> LlamaCpp:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._model.close()

    def logits(self, tokens: list[int]) -> torch.Tensor:
        """The logits after every token."""
        self._model.reset()
        self._model.eval(tokens)
        return torch.tensor(self._model.scores[: len(tokens)]).clone()
