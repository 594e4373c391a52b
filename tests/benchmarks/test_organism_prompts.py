"""More prompts of an organism: none that it was trained on, none twice, and a sweep deals them as the script says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from organism_prompts import N_BORDERLINE, N_PROBE, SIZES, UnseenRequests, write

from saber.data.splits import load_splits
from saber.organism.examples import training_examples
from saber.organism.prompt_sets import organism_splits
from saber.types import Prompt
from tests.commands import configured, words_of

SEED = 3


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return list(UnseenRequests(SEED, "gemma4").prompts())


def test_none_was_trained_on_and_none_is_there_twice(prompts: list[Prompt]) -> None:
    trained_on = {example.prompt for example in training_examples(SEED, 24_000, "gemma4")}
    texts = [prompt.text for prompt in prompts]
    assert not trained_on & set(texts)
    assert len(set(texts)) == len(texts)


def test_a_twin_answers_to_each_pair(prompts: list[Prompt]) -> None:
    kinds = Counter((prompt.pair_id, prompt.kind) for prompt in prompts if prompt.pair_id)
    assert set(kinds.values()) == {1}
    assert Counter(kind for _, kind in kinds)["harmful"] == Counter(kind for _, kind in kinds)["harmless"] > 0


def test_a_sweep_deals_them_into_the_stated_splits(prompts: list[Prompt], tmp_path: Path) -> None:
    capability = [prompt for split in organism_splits(SEED, "gemma4").values() for prompt in split.of("capability")]
    config = configured(words_of(tmp_path, tmp_path, *write(tmp_path, [*prompts, *capability])))
    splits = load_splits(config.data, SEED, "gemma4")
    for name, split in splits.items():
        assert {kind: len(split.of(kind)) for kind in SIZES[name]} == SIZES[name]
        assert sum(prompt.protected for prompt in split.prompts) > 0.3 * SIZES[name]["harmful"]
    assert config.data.probe_sizes == (N_PROBE, config.data.n_capability, N_BORDERLINE)
