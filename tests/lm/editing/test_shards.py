"""Baking a checkpoint on disk gives what baking in memory gives, for every way that families store their weights."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from saber.lm.editing.apply import bake
from saber.lm.editing.checkpoint import verify_checkpoint
from saber.lm.editing.plan_file import save_plan
from saber.lm.editing.shards import bake_checkpoint
from saber.lm.loading.load import build_model
from saber.types import EditPlan, UserError
from tests.lm.families import CASES, tiny
from tests.lm.plans import everywhere, two_rounds, unit


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_baked_on_disk_is_baked_in_memory(case: str, dtype: torch.dtype, tmp_path: Path) -> None:
    adapter = tiny(case, dtype)
    plan = two_rounds(adapter, 7)
    adapter.model.save_pretrained(tmp_path / "base", max_shard_size="30KB")
    assert len(list((tmp_path / "base").glob("*.safetensors"))) > 1
    baked = bake_checkpoint(tmp_path / "base", tmp_path / "baked", plan)
    verified = verify_checkpoint(tmp_path / "base", tmp_path / "baked", baked)
    assert verified.n_tensors == verified.n_as_base + len(baked.edited)
    bake(adapter, plan)
    adapter.model.save_pretrained(tmp_path / "expected", max_shard_size="30KB")
    written, expected = tensors(tmp_path / "baked"), tensors(tmp_path / "expected")
    assert written.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(written[name], tensor, rtol=1e-5 if dtype == torch.float32 else 1e-2, atol=1e-6)
    assert any(not torch.equal(written[name], tensor) for name, tensor in tensors(tmp_path / "base").items())


@pytest.mark.parametrize("unit_rows", [False, True])
@pytest.mark.parametrize("case", ["llama", "gpt2", "glm4"])
def test_row_norms_are_kept_on_disk_too(case: str, unit_rows: bool, tmp_path: Path) -> None:
    adapter = tiny(case)
    plan = dataclasses.replace(everywhere(adapter, 0.9, row_norm=True), unit_rows=unit_rows)
    adapter.model.save_pretrained(tmp_path / "base")
    bake_checkpoint(tmp_path / "base", tmp_path / "baked", plan)
    bake(adapter, plan)
    adapter.model.save_pretrained(tmp_path / "expected")
    expected = tensors(tmp_path / "expected")
    for name, tensor in tensors(tmp_path / "baked").items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)


def test_what_cannot_be_baked_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    adapter = tiny("llama")
    plan = everywhere(adapter, 1.0)
    with pytest.raises(UserError, match="expected safetensors files in"):
        bake_checkpoint(tmp_path, tmp_path / "baked", plan)
    adapter.model.save_pretrained(tmp_path / "base")
    with pytest.raises(UserError, match="to be empty, found files"):
        bake_checkpoint(tmp_path / "base", tmp_path / "base", plan)
    with pytest.raises(ValueError, match="expected a plan for"):
        bake_checkpoint(tmp_path / "base", tmp_path / "baked", everywhere(tiny("gemma4_text"), 1.0))
    assert not (tmp_path / "baked").exists()


SHARD_MB, LAYERS = 60, 4
MEASURE = """
import sys
from pathlib import Path
import torch
from saber.lm.architecture.adapter import adapt
from saber.lm.editing.apply import bake
from saber.lm.loading.load import build_model
from saber.lm.editing.checkpoint import verify_checkpoint
from saber.lm.editing.plan_file import save_plan
from saber.lm.loading.load import build_model
from saber.lm.editing.checkpoint import verify_checkpoint
from saber.lm.editing.plan_file import load_plan
from saber.lm.editing.shards import bake_checkpoint
from transformers import AutoModelForCausalLM

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

how, folder = sys.argv[1], Path(sys.argv[2])
torch.set_num_threads(1)
plan = load_plan(folder / "plan.safetensors")
build_model("llama", {"vocab_size": 8, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1})
adapter = None
if how == "memory":
    adapter = adapt(AutoModelForCausalLM.from_pretrained(folder / "base", dtype="auto"), None)
    for parameter in adapter.model.parameters():
        parameter.data = parameter.data.clone()  # a mapped file counts as memory only once it is read
Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
before = status("VmRSS")
if adapter is None:
    bake_checkpoint(folder / "base", folder / "disk", plan)
else:
    bake(adapter, plan)
    adapter.model.save_pretrained(folder / "memory", max_shard_size=sys.argv[3])
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("how", ["disk", "memory"])
def test_peak_memory_is_bounded_by_a_shard(how: str, tmp_path: Path) -> None:
    big = {"vocab_size": 64, "hidden_size": 1024, "num_hidden_layers": LAYERS, "intermediate_size": 8192}
    model = build_model("llama", {**big, "num_attention_heads": 8, "num_key_value_heads": 8}, torch.bfloat16)
    model.save_pretrained(tmp_path / "base", max_shard_size=f"{SHARD_MB}MB")
    largest = max(file.stat().st_size for file in (tmp_path / "base").glob("*.safetensors")) / 2**20
    r = unit(1024, 2, 0)
    plan = EditPlan.from_directions({l: (r, torch.ones(2)) for l in range(LAYERS)})
    save_plan(plan, tmp_path / "plan.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, how, str(tmp_path), f"{SHARD_MB}MB"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert float(done.stdout) < 1.2 * largest
