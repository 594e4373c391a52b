"""A baked checkpoint is its base in everything but the edited tensors, whatever form the base is published in."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.editing.apply import applied
from saber.lm.editing.checkpoint import verify_checkpoint
from saber.lm.editing.packed import packing_of, scaled_blocks
from saber.lm.editing.shards import Baked, bake_checkpoint
from saber.types import EditPlan, UserError
from tests.lm.plans import everywhere, logits, reading_inputs, relative
from tests.lm.published import BESIDE, INDEX, OTHER_FORMS, PUBLISHED, in_mxfp4, plain, with_files


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """What the model's own shards hold."""
    files = [file for file in folder.glob("*.safetensors") if file.name != "consolidated.safetensors"]
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def opened(folder: Path) -> Adapter:
    """The checkpoint in fp32, so that little is rounding, but for FP8, which transformers unpacks to bfloat16 only."""
    dtype = torch.bfloat16 if packing_of(folder) == "fp8" else torch.float32
    return adapt(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype), None)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.view(torch.uint8).equal(b.view(torch.uint8))


@pytest.mark.parametrize("case", PUBLISHED)
def test_only_the_edited_tensors_differ(case: str, tmp_path: Path) -> None:
    published, base, target = PUBLISHED[case], tmp_path / "base", tmp_path / "baked"
    published.make(base)
    with_files(base)
    whole = opened(base)
    plan = everywhere(whole, 0.8)
    baked = bake_checkpoint(base, target, plan)
    before, after = tensors(base), tensors(target)

    scales = {name for name in before if published.scales and re.fullmatch(published.scales, name)}
    if scales:
        assert not scales & after.keys()
        own = whole.model.state_dict()
        unpacked = {name: tensor for name, tensor in own.items() if name in after.keys() - before.keys()}
        before = {**{name: tensor for name, tensor in before.items() if name not in scales}, **unpacked}
        for name in baked.unpacked & before.keys() & own.keys():
            before[name] = own[name].bfloat16()
    apart = baked.unpacked - before.keys() | {n for n in baked.unpacked if before[n].dtype != torch.bfloat16}
    assert before.keys() == after.keys()
    differ = {name for name, tensor in before.items() if name not in apart and not same(tensor, after[name])}
    expected = {name for name in before if re.fullmatch(published.edited, name)}
    assert differ == expected - apart
    assert baked.edited == expected
    assert {after[name].dtype for name in baked.unpacked} <= {torch.bfloat16}
    assert verify_checkpoint(base, target, baked).n_as_base == len(after) - len(expected)

    with applied(whole, [plan]):
        virtual = logits(whole)
    reloaded = logits(adapt(AutoModelForCausalLM.from_pretrained(target, dtype=whole.dtype), None))
    assert relative(reloaded, virtual) < 0.05 < relative(logits(whole), virtual)


@pytest.mark.parametrize("case", ["llama, tied, in shards", "gpt_oss in MXFP4", "gpt2"])
def test_an_edit_that_reads_inputs_leaves_biases_as_they_are(case: str, tmp_path: Path) -> None:
    base, target = tmp_path / "base", tmp_path / "baked"
    PUBLISHED[case].make(base)
    whole = opened(base)
    plan = reading_inputs(whole, 3)
    baked = bake_checkpoint(base, target, plan)
    before, after = tensors(base), tensors(target)
    differ = {name for name in before.keys() & after.keys() if not same(before[name], after[name])}
    biases = {name for name in before if name.endswith(("_proj.bias", "down_proj_bias"))}
    outputs = {name for name in biases if re.fullmatch(PUBLISHED[case].edited, name)}
    fused = {name for name in outputs if ".experts." in name}  # read by their sum, whose bias goes along
    assert differ & outputs == baked.edited & outputs == fused
    assert differ | (baked.edited & baked.unpacked) == baked.edited
    verify_checkpoint(base, target, baked)
    with applied(whole, [plan]):
        virtual = logits(whole)
    assert relative(logits(opened(target)), virtual) < 0.05


@pytest.mark.parametrize("case", ["llama, tied, in shards", "qwen3 in FP8"])
def test_files_are_copied_and_other_copies_of_the_weights_are_not(case: str, tmp_path: Path) -> None:
    base, target = tmp_path / "base", tmp_path / "baked"
    PUBLISHED[case].make(base)
    with_files(base)
    baked = bake_checkpoint(base, target, everywhere(opened(base), 1.0))
    for name in BESIDE:
        assert (target / name).read_bytes() == (base / name).read_bytes()
    assert not [name for name in OTHER_FORMS if (target / name).exists()]
    assert set(baked.left_out) == {
        "pytorch_model.bin",
        "consolidated.safetensors",
        "original/",
        "model.gguf",
        ".cache/",
    }
    index = json.loads((target / INDEX).read_text())
    assert {name: file for file in target.glob("*.safetensors") for name in load_file(file)}.keys() == index[
        "weight_map"
    ].keys()
    for name, file in index["weight_map"].items():
        assert name in load_file(target / file)
    config = json.loads((target / "config.json").read_text())
    if "FP8" in case:
        assert "quantization_config" not in config
        assert config["dtype"] == "bfloat16"
        assert index["metadata"]["total_size"] == sum(t.nbytes for t in tensors(target).values())
    else:
        assert (target / "config.json").read_bytes() == (base / "config.json").read_bytes()
        assert (target / INDEX).read_bytes() == (base / INDEX).read_bytes()


def test_a_shard_without_an_edited_tensor_is_the_bases_file_and_others_name_the_plan(tmp_path: Path) -> None:
    base, target = tmp_path / "base", tmp_path / "baked"
    PUBLISHED["qwen3_5, multimodal, with a head for several tokens"].make(base)
    plan = everywhere(opened(base), 1.0)
    baked = bake_checkpoint(base, target, plan)
    n_same = 0
    for file in base.glob("*.safetensors"):
        same_file = file.read_bytes() == (target / file.name).read_bytes()
        n_same += same_file
        with safe_open(target / file.name, framework="pt") as read:
            names_plan = read.metadata().get("saber.plan") == plan.digest
            assert names_plan != same_file
            assert bool(baked.edited & set(read.keys())) == names_plan
            assert read.metadata()["format"] == "pt"
    assert (base / "model-mtp.safetensors").read_bytes() == (target / "model-mtp.safetensors").read_bytes()
    assert 1 < n_same < len(list(base.glob("*.safetensors")))


def test_the_same_plan_gives_the_same_bytes_on_any_number_of_threads(tmp_path: Path) -> None:
    base = tmp_path / "base"
    plain("gemma4")(base)
    plan = everywhere(opened(base), 0.7)
    digests = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        bake_checkpoint(base, tmp_path / str(threads), plan)
        digests.append(hashlib.sha256((tmp_path / str(threads) / "model.safetensors").read_bytes()).hexdigest())
    torch.set_num_threads(1)
    assert digests[0] == digests[1]


def test_mxfp4_is_unpacked_as_transformers_does(tmp_path: Path) -> None:
    in_mxfp4(tmp_path / "base")
    whole = opened(tmp_path / "base")
    bake_checkpoint(
        tmp_path / "base", tmp_path / "baked", EditPlan.from_directions({0: (torch.eye(32)[:, :1], torch.ones(1))})
    )
    after = tensors(tmp_path / "baked")
    for name, tensor in whole.model.state_dict().items():
        if ".experts." in name and ".layers.0." not in name:
            assert torch.equal(after[name].float(), tensor), name


@pytest.mark.parametrize("shape", [(32, 48), (3, 32, 48), (40, 20)])
def test_blocks_at_the_edges_are_scaled_too(shape: tuple[int, ...]) -> None:
    weight = torch.arange(float(torch.Size(shape).numel())).reshape(shape) % 16
    grid = (-(-shape[-2] // 16), -(-shape[-1] // 16))
    scale = torch.rand(*shape[:-2], *grid, generator=torch.Generator().manual_seed(0))
    scaled = scaled_blocks(weight, scale, (16, 16))
    for index in torch.cartesian_prod(*(torch.arange(n) for n in shape)).tolist():
        *lead, row, column = index
        assert scaled[tuple(index)] == weight[tuple(index)] * scale[(*lead, row // 16, column // 16)]


def test_packings_that_are_not_unpacked_are_refused_with_the_way_out(tmp_path: Path) -> None:
    plain("llama")(tmp_path / "base")
    plan = everywhere(opened(tmp_path / "base"), 1.0)
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"found them packed \(gptq\): export.format=adapter or gguf_adapter"):
        bake_checkpoint(tmp_path / "base", tmp_path / "baked", plan)
    assert not (tmp_path / "baked").exists()


def test_a_plan_that_edits_nothing_is_refused(tmp_path: Path) -> None:
    plain("llama")(tmp_path / "base")
    for plan in (EditPlan(()), everywhere(opened(tmp_path / "base"), 0.0)):
        with pytest.raises(UserError, match="found one that edits none: it is the base model"):
            bake_checkpoint(tmp_path / "base", tmp_path / "baked", plan)
    assert not (tmp_path / "baked").exists()


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    plain("llama", "10KB")(tmp_path / "base")
    plan = everywhere(opened(tmp_path / "base"), 1.0)
    lost = sorted((tmp_path / "base").glob("*.safetensors"))[2]
    lost.unlink()
    with pytest.raises(UserError, match=rf"expected {lost.name}, which .*index.json names"):
        bake_checkpoint(tmp_path / "base", tmp_path / "baked", plan)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Path, Baked]:
    plain("mixtral")(tmp_path / "base")
    with_files(tmp_path / "base")
    plan = everywhere(opened(tmp_path / "base"), 1.0)
    return tmp_path / "base", tmp_path / "baked", bake_checkpoint(tmp_path / "base", tmp_path / "baked", plan)


def rewrite(folder: Path, name: str, tensor: torch.Tensor | None) -> None:
    path = folder / "model.safetensors"
    held = load_file(path)
    changed = {n: t for n, t in held.items() if n != name} | ({} if tensor is None else {name: tensor})
    save_file(changed, path, {"format": "pt"})


def test_what_is_read_back_is_held_against_the_base(written: tuple[Path, Path, Baked]) -> None:
    base, target, baked = written
    held = tensors(target)
    edited, kept = "model.layers.1.self_attn.o_proj.weight", "model.layers.1.self_attn.q_proj.weight"
    expert = "model.layers.2.block_sparse_moe.experts.2.w2.weight"
    bad: dict[str, tuple[str, torch.Tensor | None]] = {
        f"expected tensor {expert} in the exported checkpoint, found none": (expert, None),
        "expected no tensor stray in the exported checkpoint, found one": ("stray", held[kept].clone()),
        f"expected tensor {edited} of shape": (edited, held[edited][:-1].clone()),
        f"expected tensor {kept} of shape .* in BF16, found .* in F32": (kept, held[kept].float()),
        f"expected tensor {kept} as in its base": (
            kept,
            held[kept].clone().flatten().index_fill(0, torch.tensor([7]), 1).view_as(held[kept]),
        ),
        f"expected finite weights, found NaN or infinity in {expert}": (expert, held[expert] * float("nan")),
    }
    for message, (name, tensor) in bad.items():
        rewrite(target, name, tensor)
        with pytest.raises(UserError, match=message):
            verify_checkpoint(base, target, baked)
        rewrite(target, name, held.get(name))
        if name == "stray":
            rewrite(target, name, None)
    (target / "preprocessor_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"expected preprocessor_config.json in the exported checkpoint as in its base"):
        verify_checkpoint(base, target, baked)
