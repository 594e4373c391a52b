"""A prompt that leaves no room for its response is named before anything is measured."""

from __future__ import annotations

import pytest

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.reference import make_reference
from saber.lm.inference.batches import check_fits, tokenise
from saber.types import Prompt, Split, UserError


def test_prompts_over_the_context_are_listed_by_number_and_not_by_text(adapter: Adapter) -> None:
    context = adapter.model.config.max_position_embeddings
    long = Prompt("jar " * context, "harmless")
    split = Split("tune", (Prompt("open the jar", "harmful"), *[long] * 7))
    with pytest.raises(
        UserError, match=rf"at most {context - 8} tokens .* found 7 longer: harmless prompt 1 \("
    ) as said:
        make_reference(adapter, split, EvaluateConfig(max_new_tokens=8))
    assert "and 2 more" in str(said.value)
    assert "jar" not in str(said.value)


def test_a_prompt_that_just_fits_passes(adapter: Adapter) -> None:
    prompts = [Prompt("open the jar", "harmful")]
    rows = tokenise(adapter, prompts)
    room = adapter.model.config.max_position_embeddings - len(rows[0])
    check_fits(adapter, prompts, rows, room)
    with pytest.raises(UserError, match="found 1 longer"):
        check_fits(adapter, prompts, rows, room + 1)
    with pytest.raises(
        UserError, match=r"expected a reply shorter than the model's context of \d+ tokens, found 99999"
    ):
        check_fits(adapter, prompts, rows, 99999)
