"""A model that also speaks is served by its thinker: loaded from the whole checkpoint, and baked inside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from saber.lm.architecture.verify import verify_writers
from saber.lm.editing.apply import applied
from saber.lm.editing.checkpoint import verify_checkpoint
from saber.lm.editing.shards import bake_checkpoint
from saber.lm.loading.load import load
from saber.organism.tokenizer import organism_tokenizer
from tests.lm.plans import everywhere, logits, relative
from tests.lm.tiny_types import TYPES, build_type


def speaking(folder: Path, whole: str) -> None:
    """The form that Qwen's Omnis are published in: the thinker's tensors under a prefix, and a talker's beside them."""
    tokenizer = organism_tokenizer()
    more = TYPES[f"{whole}_thinker"]
    text = {**more.get("text_config", {}), "vocab_size": len(tokenizer)}
    thinker = build_type(f"{whole}_thinker", {**more, "text_config": text})
    thinker.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": whole, "thinker_config": config}))
    file = folder / "model.safetensors"
    inside = {name if name.startswith("thinker.") else f"thinker.{name}": t for name, t in load_file(file).items()}
    save_file(inside | {"talker.codec_head.weight": torch.randn(8, 4)}, file, {"format": "pt"})


@pytest.mark.parametrize("whole", ["qwen2_5_omni", "qwen3_omni_moe"])
def test_the_thinker_is_edited_and_the_talker_kept(whole: str, tmp_path: Path) -> None:
    speaking(tmp_path / "base", whole)
    adapter = load(str(tmp_path / "base"), dtype="float32", device="cpu")
    assert adapter.model_type == f"{whole}_thinker"
    error = verify_writers(adapter)
    assert error is not None
    assert error < 1e-6
    plan = everywhere(adapter, 1.0)
    baked = bake_checkpoint(tmp_path / "base", tmp_path / "baked", plan)
    assert all(name.startswith("thinker.model.") for name in baked.edited)
    verify_checkpoint(tmp_path / "base", tmp_path / "baked", baked)
    with applied(adapter, [plan]):
        virtual = logits(adapter)
    assert relative(logits(adapter), virtual) > 0.003
    assert relative(logits(load(str(tmp_path / "baked"), dtype="float32", device="cpu")), virtual) < 1e-5
