"""Capability as lm-eval counts it: likelihoods of what follows, whatever else is in the batch; questions as packed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import real_capability
import torch
from real_capability import Choice, log_likelihoods, piqa, word_perplexity

from saber.lm.architecture.adapter import Adapter

VOCABULARY = "abcdefghijklmnopqrstuvwxyz :\n?"


class Letters:
    """A tokenizer of one token a letter."""

    pad_token_id = 0

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [1 + VOCABULARY.index(letter) for letter in text.lower()]

    def decode(self, tokens: list[int]) -> str:
        return "".join(VOCABULARY[token - 1] for token in tokens)


@pytest.fixture
def lettered(tiny_gemma4: Adapter) -> Adapter:
    """The tiny model with that tokenizer."""
    return replace(tiny_gemma4, tokenizer=Letters())


def nats_of(adapter: Adapter, head: str, rest: str) -> float:
    """The log-likelihood of one text alone, in float64."""
    row = Letters().encode(head + rest, add_special_tokens=False)
    with torch.inference_mode():
        log_p = adapter.model(input_ids=torch.tensor([row])).logits[0].double().log_softmax(-1)
    return sum(float(log_p[i - 1, row[i]]) for i in range(len(head), len(row)))


def test_a_text_is_as_likely_in_a_batch_as_alone(lettered: Adapter) -> None:
    begun = [("question: how", " so"), ("a", " much longer one"), ("quite a long head it is", " x")]
    assert log_likelihoods(lettered, begun) == pytest.approx([nats_of(lettered, *pair) for pair in begun], rel=1e-4)


def test_the_likelier_solution_is_the_answer(lettered: Adapter) -> None:
    choice = Choice("open a jar", ("turn the lid", "sing"), 0)
    likely = [nats_of(lettered, "Question: open a jar\nAnswer:", f" {solution}") for solution in choice.solutions]
    accuracy = piqa(lettered, [choice, replace(choice, right=1)])
    assert accuracy["piqa_acc"] == 0.5
    assert piqa(lettered, [replace(choice, right=likely.index(max(likely)))])["piqa_acc"] == 1.0


def test_the_perplexity_of_a_word_is_over_all_windows(lettered: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_capability, "WINDOW", 6)
    text = "a sea is blue"
    nats = nats_of(lettered, text[:1], text[1:6]) + nats_of(lettered, text[6:7], text[7:12])
    expected = float(torch.tensor(-nats / len(text[:12].split())).exp())
    assert word_perplexity(lettered, text, n_windows=2) == pytest.approx(expected, rel=1e-3)


def test_a_question_is_read_as_it_is_packed() -> None:
    row = {"question": "open a jar", "options": "A. turn the lid \nB. sing ", "answer": "B. sing "}
    assert real_capability._choice(row) == Choice("open a jar", ("turn the lid", "sing"), 1)
    assert real_capability._choice({**row, "options": "A. turn the lid"}) is None
