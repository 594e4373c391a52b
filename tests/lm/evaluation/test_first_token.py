"""A first token that the base is certain of shows nothing: its divergence is no objective, and another one is named."""

from __future__ import annotations

import pytest
import torch

from saber.config import EvaluateConfig
from saber.lm.evaluation.first_token import first_token_entropies, require_free_first_token
from saber.lm.evaluation.reference import Reference, make_reference
from saber.types import Prompt, PromptKind, Split, UserError
from tests.lm.inference.test_thought import chained

KINDS: tuple[PromptKind, ...] = ("harmless", "capability", "harmless")
PROMPTS = tuple(Prompt(f"Say {n}.", kind) for n, kind in enumerate(KINDS))


def reference(certainty: float) -> Reference:
    """The base's side of a model that begins every reply alike, the more surely the larger its head."""
    adapter = chained(mode=None)
    adapter.tokenizer.chat_template = "{{ messages[0].content + '\\n' }}"
    with torch.no_grad():
        adapter.model.lm_head.weight.mul_(certainty)
    return make_reference(adapter, Split("tune", PROMPTS), EvaluateConfig(max_new_tokens=3))


@pytest.mark.parametrize("certainty", [0.0, 0.1, 1.0])
def test_the_entropy_is_that_of_the_first_response_token(certainty: float) -> None:
    base_reference = reference(certainty)
    (part,) = base_reference.drift
    p = part.logits[part.is_first].double().softmax(dim=-1)
    wanted = -(p * p.log()).nan_to_num().sum(dim=-1)
    order = part.prompt[part.is_first].argsort()
    torch.testing.assert_close(first_token_entropies(base_reference).double(), wanted[order], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("metric", "positions"), [("kld", "first"), ("kld_first", "response"), ("score", "first")])
def test_a_certain_first_token_is_refused_as_an_objective(metric: str, positions: str) -> None:
    profile = EvaluateConfig(kld_positions=positions)  # type: ignore[arg-type]  # one of its words
    sure, unsure = reference(1.0), reference(0.05)
    with pytest.raises(UserError, match=r"on 3 of 3 prompts.*use evaluate.kld_positions=response"):
        require_free_first_token(sure, profile, ["refusal_rate", metric])
    require_free_first_token(unsure, profile, ["refusal_rate", metric])
    require_free_first_token(sure, EvaluateConfig(), ["refusal_rate", "kld", "score"])
