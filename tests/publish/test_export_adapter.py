"""The adapter form of an export: what is measured is the base with what was read back from the folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from saber.lm.architecture.adapter import adapt
from saber.lm.editing.apply import applied
from saber.publish.export import _write_adapter
from saber.types import UserError
from tests.lm.families import tiny
from tests.lm.plans import everywhere, logits, relative


def bench_of(case: str) -> Any:
    tokenizer = SimpleNamespace(save_pretrained=lambda folder: (folder / "tokenizer.json").touch())
    return SimpleNamespace(adapter=adapt(tiny(case).model, tokenizer))


def test_the_adapter_that_is_written_is_the_edit_that_is_measured(tmp_path: Path) -> None:
    bench = bench_of("gemma4_text")
    plan = everywhere(bench.adapter, 0.8)
    with applied(bench.adapter, [plan]):
        expected = logits(bench.adapter)
    measured = _write_adapter(bench, plan, tmp_path)
    assert relative(logits(measured), expected) < 2e-5
    found = {file.name for file in tmp_path.iterdir()}
    assert found == {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"}


def test_a_family_without_an_adapter_form_says_which_form_it_has(tmp_path: Path) -> None:
    bench = bench_of("gpt_oss")
    with pytest.raises(UserError, match=r"fused experts at .*; export the merged form: export\.format=merged"):
        _write_adapter(bench, everywhere(bench.adapter, 1.0), tmp_path)
