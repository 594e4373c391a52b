"""A checkpoint is scanned by the names and shapes that families store, experts apart and prefixes as published."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from saber.lm.architecture.loading import stored_shapes
from saber.lm.editing.checkpoint import scan_checkpoint
from saber.types import UserError
from tests.lm.families import CASES, tiny

BESIDE = ("generation_config.json", "tokenizer_config.json", "chat_template.jinja")


@pytest.mark.parametrize("case", CASES)
def test_what_is_stored_is_what_is_scanned_for(case: str, tmp_path: Path) -> None:
    adapter = tiny(case)
    adapter.model.save_pretrained(tmp_path)
    for name in BESIDE:
        (tmp_path / name).touch()
    assert scan_checkpoint(tmp_path, adapter) >= len(stored_shapes(adapter.model))


def test_a_missing_expert_is_noticed(tmp_path: Path) -> None:
    adapter = tiny("mixtral")
    adapter.model.save_pretrained(tmp_path)
    for name in BESIDE:
        (tmp_path / name).touch()
    (file,) = tmp_path.glob("*.safetensors")
    tensors = load_file(file)
    lost = next(name for name in tensors if ".experts.2.w2" in name)
    del tensors[lost]
    save_file(tensors, file)
    with pytest.raises(UserError, match=f"expected tensor {lost} in the exported checkpoint, found none"):
        scan_checkpoint(tmp_path, adapter)
