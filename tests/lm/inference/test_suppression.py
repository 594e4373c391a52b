"""A generation config's forbidden tokens: replies are `generate`'s own, and divergences are of the raw logits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessorList,
    NoBadWordsLogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.measurement import measure_trials
from saber.lm.evaluation.protocol import protocol_digest
from saber.lm.evaluation.reference import make_reference
from saber.lm.inference.batches import tokenise
from saber.lm.inference.generation.suppression import Suppressed, ignored_by, most_likely, suppressed_of
from saber.study.chat_recognition import remarks
from saber.types import EditPlan, Split

PER_KIND = 3
N_VOCAB, EOS = 12, 11
PROFILE = EvaluateConfig(max_new_tokens=10, markers=("i cannot",))
tokens = st.integers(0, N_VOCAB - 1)


def processed(logits: torch.Tensor, before: list[int], n_prompt: int, config: dict[str, Any]) -> int:
    """The most likely token by transformers' own processors, of one position."""
    steps = LogitsProcessorList()
    if config["bad_words_ids"]:
        steps.append(NoBadWordsLogitsProcessor(config["bad_words_ids"], torch.tensor([EOS])))
    steps.append(SuppressTokensLogitsProcessor(config["suppress_tokens"]))
    steps.append(SuppressTokensAtBeginLogitsProcessor(config["begin_suppress_tokens"], n_prompt))
    return int(steps(torch.tensor([before]), logits[None].clone()).argmax())


@given(
    seed=st.integers(0, 10_000),
    prompt=st.lists(tokens, min_size=1, max_size=4),
    said=st.lists(tokens, max_size=5),
    suppress=st.lists(tokens, min_size=1, max_size=3),
    begin=st.lists(tokens, min_size=1, max_size=3),
    words=st.lists(st.lists(tokens, min_size=1, max_size=3), max_size=4),
)
def test_tokens_are_those_that_transformers_allows(
    seed: int, prompt: list[int], said: list[int], suppress: list[int], begin: list[int], words: list[list[int]]
) -> None:
    config = {"suppress_tokens": suppress, "begin_suppress_tokens": begin, "bad_words_ids": words}
    suppressed = suppressed_of(GenerationConfig(**{**config, "bad_words_ids": words or None}), frozenset({EOS}))
    assert suppressed is not None
    if all(word == [EOS] for word in words):
        config["bad_words_ids"] = []  # transformers refuses a list of nothing
    logits = torch.randn(len(said) + 1, N_VOCAB, generator=torch.Generator().manual_seed(seed))
    before = [[*prompt, *said[:i]] for i in range(len(said) + 1)]
    is_start = torch.tensor([i == 0 for i in range(len(before))])
    wanted = [processed(logit, text, len(prompt), config) for logit, text in zip(logits, before, strict=True)]
    assert suppressed.likely(logits, is_start, before).tolist() == wanted


@pytest.fixture
def choosy(adapter: Adapter, split: Split) -> Iterator[Adapter]:
    """The quick organism with a generation config that forbids what it would like to say."""
    before = adapter.model.generation_config
    rows = tokenise(adapter, split.prompts)
    liked = [_generated(adapter, row) for row in rows]
    adapter.model.generation_config = GenerationConfig(
        **{key: value for key, value in before.to_diff_dict().items() if key != "transformers_version"},
        suppress_tokens=[liked[0][2]],
        begin_suppress_tokens=[liked[1][0]],
        bad_words_ids=[[liked[2][1]], liked[3][1:3], liked[4][0:3], [before.eos_token_id]],
    )
    yield adapter
    adapter.model.generation_config = before


def _generated(adapter: Adapter, row: list[int]) -> list[int]:
    ids = torch.tensor([row])
    out = adapter.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=PROFILE.max_new_tokens
    )
    new_tokens: list[int] = out[0, len(row) :].tolist()
    return new_tokens


def test_replies_are_those_of_generate_alone_in_a_batch_drafted_or_forced(choosy: Adapter, split: Split) -> None:
    reference = make_reference(choosy, split, PROFILE)
    wanted = [_generated(choosy, list(row)) for row in reference.rows]
    assert [list(response.whole) for response in reference.responses] == wanted
    for _ in range(2):  # the second time every reply is drafted from the first
        for measured in measure_trials(choosy, split, PROFILE, reference, [EditPlan(()), EditPlan(())]):
            texts = choosy.tokenizer.batch_decode(wanted, skip_special_tokens=True)
            assert [response.text for response in measured.responses] == texts
            assert measured.metrics["kld"] == pytest.approx(0.0, abs=1e-6)


def test_what_is_forbidden_changes_replies_and_the_protocol_but_not_divergences(choosy: Adapter, split: Split) -> None:
    free = GenerationConfig(eos_token_id=choosy.model.generation_config.eos_token_id)
    with_it, (forbidden,) = protocol_digest(choosy, split, PROFILE), _replies(choosy, split)
    kept = choosy.model.generation_config
    choosy.model.generation_config = free
    without, (said,) = protocol_digest(choosy, split, PROFILE), _replies(choosy, split)
    choosy.model.generation_config = kept
    assert with_it != without
    assert forbidden != said


def _replies(adapter: Adapter, split: Split) -> list[tuple[tuple[int, ...], ...]]:
    return [tuple(response.whole for response in make_reference(adapter, split, PROFILE).responses)]


def test_what_is_not_heeded_is_named(adapter: Adapter) -> None:
    assert ignored_by(adapter.model.generation_config) == {}
    kept = adapter.model.generation_config
    adapter.model.generation_config = GenerationConfig(no_repeat_ngram_size=3, min_new_tokens=5, temperature=0.6)
    (line,) = remarks(adapter)
    adapter.model.generation_config = kept
    assert "no_repeat_ngram_size=3, min_new_tokens=5 is not heeded" in line
    assert "temperature" not in line


def test_nothing_forbidden_is_nothing_done(adapter: Adapter) -> None:
    assert suppressed_of(adapter.model.generation_config, frozenset({EOS})) is None
    assert suppressed_of(GenerationConfig(bad_words_ids=[[EOS]]), frozenset({EOS})) is None
    assert suppressed_of(GenerationConfig(suppress_tokens=[3]), frozenset()) == Suppressed(always=(3,))


@given(st.lists(st.lists(st.sampled_from([-1.0, 0.5, 2.0]), min_size=6, max_size=6), min_size=1, max_size=4))
def test_of_tokens_that_are_equally_likely_the_first_is_said_in_every_dtype(rows: list[list[float]]) -> None:
    expected = [row.index(max(row)) for row in rows]
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert most_likely(torch.tensor(rows, dtype=dtype)).tolist() == expected
        assert most_likely(torch.tensor([rows], dtype=dtype)).tolist() == [expected]
