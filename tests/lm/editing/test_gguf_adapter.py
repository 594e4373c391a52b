"""The adapter for llama.cpp: its format, what it adds, which families have one, and what llama.cpp makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from saber.lm.editing.apply import applied
from saber.lm.editing.gguf import (
    ARCHITECTURES,
    REARRANGED,
    check_gguf_adapter,
    gguf_names,
    read_gguf_adapter,
    save_gguf_adapter,
)
from saber.lm.editing.lora_factors import merge_factors
from saber.types import EditPlan, UserError
from tests.lm.families import CASES, tiny
from tests.lm.plans import TOKENS, everywhere, logits, reading_inputs, relative, two_rounds, unit

gguf = pytest.importorskip("gguf", reason="the file is read by gguf, which is not installed: pip install gguf")

ROUNDED_TWICE = 2e-5
GELU_BY_TABLE = 2e-3  # llama.cpp looks GELU up in half precision
DENSE_AMONG_EXPERTS = {"qwen2_moe", "qwen3_moe", "qwen3_next"}  # with a dense layer, which llama.cpp's model lacks
SERVED = [
    case
    for case in CASES
    if CASES[case][0] in ARCHITECTURES
    and case not in DENSE_AMONG_EXPERTS
    and not any(writer.bias is not None for writer in tiny(case).writers)
]


@pytest.mark.parametrize("is_output", [True, False], ids=["outputs", "inputs"])
@pytest.mark.parametrize("case", SERVED)
def test_every_writer_has_a_name_and_the_file_is_the_edit(case: str, is_output: bool, tmp_path: Path) -> None:
    adapter, file = tiny(case), tmp_path / "adapter.gguf"
    plan = two_rounds(adapter, 5) if is_output else reading_inputs(adapter, 5)
    with applied(adapter, [plan]):
        expected = logits(adapter)
    names = gguf_names(adapter)
    assert len(set(names.values())) == len(adapter.writers)
    save_gguf_adapter(adapter, plan, file, "someone/base")
    merge_factors(adapter, read_gguf_adapter(adapter, file))
    assert relative(logits(adapter), expected) < ROUNDED_TWICE


def test_the_file_is_what_llama_cpp_reads(tmp_path: Path) -> None:
    adapter, file = tiny("mixtral"), tmp_path / "adapter.gguf"
    ranks = {0: 1, 1: 2, 2: 2}
    plan = EditPlan.from_directions({l: (unit(24, k, l), torch.full((k,), 0.5)) for l, k in ranks.items()})
    save_gguf_adapter(adapter, plan, file, "someone/base")
    first = file.read_bytes()
    save_gguf_adapter(adapter, plan, file, "someone/base")
    assert file.read_bytes() == first
    reader = gguf.GGUFReader(file)
    said = {name: field.contents() for name, field in reader.fields.items()}
    assert said["general.type"] == "adapter"
    assert said["general.architecture"] == "llama"
    assert said["adapter.type"] == "lora"
    assert said["adapter.lora.alpha"] == 2.0
    assert said["saber.plan"] == plan.digest
    shapes = {tensor.name: (*tensor.shape.tolist(),) for tensor in reader.tensors}  # llama.cpp's order: fastest first
    assert shapes["blk.1.attn_output.weight.lora_a"] == (32, 2)
    assert shapes["blk.1.attn_output.weight.lora_b"] == (2, 24)
    assert shapes["blk.1.ffn_down_exps.weight.lora_a"] == (40, 2, 4)
    assert shapes["blk.1.ffn_down_exps.weight.lora_b"] == (2, 24, 4)
    assert not any(name.startswith("blk.3") for name in shapes)
    assert all(tensor.tensor_type == gguf.GGMLQuantizationType.F32 for tensor in reader.tensors)
    held = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    weight = adapter.writers[0].weight.detach()  # of layer 0, where the rank is not alpha
    r = unit(24, 1, 0)
    update = 2.0 / 1 * held["blk.0.attn_output.weight.lora_b"] @ held["blk.0.attn_output.weight.lora_a"]
    torch.testing.assert_close(torch.from_numpy(update), -0.5 * r @ r.T @ weight, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][0] not in ARCHITECTURES])
def test_families_that_llama_cpp_rearranges_or_lacks_are_refused_by_name(case: str, tmp_path: Path) -> None:
    adapter = tiny(case)
    why = REARRANGED.get(adapter.model_type, "a family that llama.cpp has a map of")
    with pytest.raises(UserError, match=rf"{why}.*export the merged form|{adapter.model_type}; export the merged"):
        save_gguf_adapter(adapter, everywhere(adapter, 1.0), tmp_path / "adapter.gguf", "someone/base")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", sorted(DENSE_AMONG_EXPERTS))
def test_a_writer_that_the_map_lacks_is_named(case: str) -> None:
    with pytest.raises(
        UserError, match=r"expected writers that GGUF's map names .* found model.layers.0.mlp.down_proj"
    ):
        check_gguf_adapter(tiny(case), everywhere(tiny(case), 1.0))


def test_a_bias_that_would_have_to_be_edited_is_refused() -> None:
    adapter = tiny("llama")
    with pytest.raises(UserError, match=r"found a bias at model\.layers\.0\.self_attn\.o_proj"):
        check_gguf_adapter(adapter, everywhere(adapter, 1.0))
    check_gguf_adapter(adapter, reading_inputs(adapter, 1))  # which leaves biases alone
    for writer in adapter.writers:
        assert writer.bias is not None
        writer.bias.data.zero_()
    check_gguf_adapter(adapter, everywhere(adapter, 1.0))
    with pytest.raises(UserError, match="it is not of low rank"):
        check_gguf_adapter(adapter, everywhere(adapter, 1.0, row_norm=True))
    with pytest.raises(UserError, match="there is no adapter of it"):
        check_gguf_adapter(adapter, EditPlan(()))


def test_what_is_no_adapter_of_this_model_is_refused(tmp_path: Path) -> None:
    qwen, gemma = tiny("qwen2"), tiny("gemma2")
    file = tmp_path / "adapter.gguf"
    with pytest.raises(UserError, match="expected an adapter in"):
        read_gguf_adapter(qwen, file)
    save_gguf_adapter(qwen, everywhere(qwen, 1.0), file, "someone/base")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(UserError, match="expected an adapter in"):
        read_gguf_adapter(gemma, file)


@pytest.mark.parametrize("case", ["qwen2", "olmoe", "gemma2"])
def test_llama_cpp_gives_the_edited_models_logits(case: str, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: it builds for minutes")
    from tests.lm.gguf_model import LlamaCpp, small_model, write_gguf

    adapter = small_model(case)
    plan = everywhere(adapter, 0.8) if case == "qwen2" else reading_inputs(adapter, 4)
    write_gguf(adapter, tmp_path / "base.gguf")
    save_gguf_adapter(adapter, plan, tmp_path / "adapter.gguf", "someone/base")
    tokens = TOKENS[:1]
    base = logits(adapter, tokens)
    with applied(adapter, [plan]):
        edited = logits(adapter, tokens)
    assert relative(edited, base) > 0.05
    for scale, expected in ((None, base), (1.0, edited)):
        with LlamaCpp(llama_cpp, tmp_path / "base.gguf", tmp_path / "adapter.gguf", scale) as model:
            assert relative(model.logits(tokens[0].tolist()), expected[0]) < GELU_BY_TABLE
