"""Writers in words: every norm, gate and scale before the add is named, and so is what no edit can do."""

from __future__ import annotations

import pytest

from saber.lm.architecture.adapter import before_the_add, limits, shape
from tests.lm.families import CASES, tiny

STEPS = [
    ("llama", "mlp.down_proj", "nothing"),
    ("granite", "mlp.down_proj", "times 0.3"),
    ("falcon_h1", "mamba.out_proj", "times 1.3"),
    ("falcon_h1", "feed_forward.down_proj", "gate or sum inside feed_forward"),
    ("qwen3_next", "mlp.shared_expert.down_proj", "gate or sum inside mlp"),
    ("glm4", "self_attn.o_proj", "norm post_self_attn_layernorm"),
    ("gemma4_moe", "experts", "norm post_feedforward_layernorm_2, then norm post_feedforward_layernorm"),
]


@pytest.mark.parametrize(("case", "module", "expected"), STEPS)
def test_what_stands_before_the_add(case: str, module: str, expected: str) -> None:
    adapter = tiny(case)
    writer = next(w for w in adapter.writers if w.name.endswith(f".{module}"))
    assert before_the_add(adapter, writer) == expected


def test_shapes_are_in_the_layout_of_the_weight() -> None:
    shapes = {shape(writer) for writer in tiny("gpt_oss").writers}
    assert shapes == {"24 x 32 + bias 24", "4 x 40 x 24 + bias 4 x 24"}


@pytest.mark.parametrize("case", CASES)
def test_limits_are_said_where_there_are_some(case: str) -> None:
    adapter = tiny(case)
    said = " ".join(limits(adapter))
    assert ("behind a norm" in said) == any(writer.norms for writer in adapter.writers)
    assert ("no LoRA form" in said) == any(writer.fused for writer in adapter.writers)
    assert ("normed" in said) == (adapter.family.inexact is not None)
