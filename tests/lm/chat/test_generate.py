"""Replies are those of `generate(do_sample=False)`, family by family, whatever decodes them and what is forbidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.chat.chat_format import Thinking
from saber.lm.chat.thought_formats import format_named
from saber.lm.evaluation.measurement import measure_trials
from saber.lm.evaluation.reference import make_reference
from saber.lm.inference.batches import tokenise
from saber.lm.inference.generation.decoding import HeadStart
from saber.lm.inference.generation.greedy import greedy, stream_greedy
from saber.types import EditPlan, Prompt, Split
from tests.lm.chat.families import FAMILIES, adapter_of

N_TOKENS = 8
SYSTEM = "Answer in one word."  # and so a beginning that all prompts share, which is read once
PROFILE = EvaluateConfig(max_new_tokens=N_TOKENS, markers=("i cannot",))
PROMPTS = [Prompt("Wie spät ist es?", "harmless"), Prompt("  Name a color. ", "harmless"), Prompt("1 + 1", "harmless")]
SPLIT = Split("tune", (*PROMPTS, Prompt("Open it.", "harmful"), Prompt("Take it.", "harmful")))

CASES = [(name, is_choosy) for name in FAMILIES for is_choosy in (False, True)]


def generated(adapter: Adapter, row: list[int]) -> list[int]:
    ids = torch.tensor([row])
    out = adapter.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=N_TOKENS)
    new_tokens: list[int] = out[0, len(row) :].tolist()
    return new_tokens


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{'choosy' if case[1] else 'free'}")
def adapter(request: pytest.FixtureRequest) -> Iterator[Adapter]:
    """A family's model, with all three ways of forbidding what it would like to say or none of them."""
    name, is_choosy = request.param
    adapter = adapter_of(name, system=SYSTEM)
    before = adapter.model.generation_config
    if is_choosy:
        liked = [generated(adapter, row) for row in tokenise(adapter, SPLIT.prompts)]
        known: dict[str, Any] = {key: value for key, value in before.to_diff_dict().items() if "version" not in key}
        adapter.model.generation_config = GenerationConfig(
            **known,
            suppress_tokens=[liked[0][2]],
            begin_suppress_tokens=[liked[1][0]],
            bad_words_ids=[liked[2][1:3], liked[3][:3], [liked[4][1]], [adapter.tokenizer.eos_token_id]],
        )
    yield adapter
    adapter.model.generation_config = before


def test_replies_are_those_of_generate_in_a_batch_begun_streamed_and_thought(adapter: Adapter) -> None:
    rows = tokenise(adapter, SPLIT.prompts)
    wanted = [generated(adapter, row) for row in rows]
    (batch,) = greedy(adapter, rows, max_new_tokens=N_TOKENS, batch_size=3)
    assert [list(answer.whole) for answer in batch] == wanted
    begun = [[tuple(reply[: 1 + i]) for i, reply in enumerate(wanted)]]
    (again,) = greedy(adapter, rows, max_new_tokens=N_TOKENS, batch_size=3, start=HeadStart(known=begun))
    assert [list(answer.whole) for answer in again] == wanted
    *_, last = stream_greedy(adapter, rows, max_new_tokens=N_TOKENS)
    assert [list(answer.whole) for answer in last] == wanted
    inside = Thinking(format_named("think"), "on", begins_inside=True)  # a thought that is never closed
    thinks = replace(adapter, chat=replace(adapter.chat, thinking=inside))
    (thought,) = greedy(thinks, rows, max_new_tokens=1, max_thinking_tokens=N_TOKENS, batch_size=3)
    assert [list(answer.whole) for answer in thought] == wanted


def test_replies_of_trials_are_those_of_generate_forced_and_drafted(adapter: Adapter) -> None:
    reference = make_reference(adapter, SPLIT, PROFILE)
    wanted = adapter.tokenizer.batch_decode(
        [generated(adapter, list(row)) for row in reference.rows], skip_special_tokens=True
    )
    for _ in range(2):  # the second time every reply is drafted from the first
        for measured in measure_trials(adapter, SPLIT, PROFILE, reference, [EditPlan(()), EditPlan(())]):
            assert [response.text for response in measured.responses] == wanted


def test_what_is_forbidden_was_liked(adapter: Adapter) -> None:
    """The other tests would pass if nothing that is forbidden were ever likely."""
    config = adapter.model.generation_config
    rows = tokenise(adapter, SPLIT.prompts)
    if config.suppress_tokens is None:
        assert config.bad_words_ids is None
        return
    chosen = [generated(adapter, row) for row in rows]
    adapter.model.generation_config = GenerationConfig(eos_token_id=config.eos_token_id)
    free = [generated(adapter, row) for row in rows]
    adapter.model.generation_config = config
    assert sum(token != free_token for token, free_token in zip(chosen, free, strict=True)) >= 3
