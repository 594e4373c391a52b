"""Near duplicates equal an all-pairs oracle, twins stay, and a split never holds two of one."""

from __future__ import annotations

from random import Random

import pytest

from saber.config import DataConfig, SplitSizes
from saber.data.duplicates import near_duplicates
from saber.data.splits import check_disjoint, make_splits
from saber.types import Prompt, PromptKind, Split, SplitName, UserError

WORDS = ["the", "a", "of", "lock", "egg", "open", "smash", "jar", "how", "do", "i", "please", "now", "with", "care"]
TEXT = "please tell me in plain words how one might go about to open the old wooden"


def slowly(texts: list[str], threshold: float) -> dict[int, int]:
    """Every text against every earlier kept one."""
    first_of: dict[int, int] = {}
    for i, text in enumerate(texts):
        for j in range(i):
            a, b = set(text.split()), set(texts[j].split())
            if j not in first_of and len(a & b) >= threshold * len(a | b) - 1e-9:
                first_of[i] = j
                break
    return first_of


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_same_are_found_as_by_comparing_all_pairs(threshold: float, seed: int) -> None:
    rng = Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(150)]
    assert near_duplicates(texts, threshold) == slowly(texts, threshold)


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_a_threshold_that_cannot_be_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        near_duplicates(["a"], threshold)


def config(n: int, near_duplicate: float | None = 0.9) -> DataConfig:
    size = SplitSizes(harmful=n, harmless=n)
    return DataConfig("sets", probe=size, tune=size, report=size, near_duplicate=near_duplicate)


def prompts(n: int) -> list[Prompt]:
    """Pairs of twins that differ in one word, each pair unlike the others."""
    rng = Random(0)
    texts = [" ".join(str(rng.randrange(10**6)) for _ in range(12)) for _ in range(n)]
    twins: tuple[tuple[str, PromptKind], ...] = (("lock", "harmful"), ("egg", "harmless"))
    return [Prompt(f"{text} {word}", kind, pair_id=str(i)) for i, text in enumerate(texts) for word, kind in twins]


def test_a_near_duplicate_is_left_out_and_twins_are_not() -> None:
    originals = prompts(6)
    again = [Prompt(f"{prompt.text}!! really", prompt.kind) for prompt in originals[:4]]  # 13 of 14 words
    splits = make_splits([*originals, *again], config(2))
    held = [prompt for split in splits.values() for prompt in split.prompts]
    assert sorted(held, key=repr) == sorted(originals, key=repr)


def test_without_the_check_they_are_used() -> None:
    originals = prompts(5)
    again = [Prompt(f"{prompt.text} really", prompt.kind) for prompt in originals[:2]]
    splits = make_splits([*originals, *again], config(2, None))
    assert sum(len(split.prompts) for split in splits.values()) == 12
    with pytest.raises(UserError, match=r"found 5 harmful, 5 harmless that differ"):
        make_splits([*originals, *again], config(2))


def test_a_near_duplicate_in_another_split_is_a_leak() -> None:
    first, other = Prompt(f"{TEXT} box", "harmful"), Prompt(f"{TEXT} box, now", "harmful")
    splits: dict[SplitName, Split] = {"tune": Split("tune", (first,)), "report": Split("report", (other,))}
    check_disjoint(splits)
    with pytest.raises(UserError, match=r"expected disjoint splits, found .* in report, nearly the same as .* in tune"):
        check_disjoint(splits, near_duplicate=0.9)
    twin: dict[SplitName, Split] = {
        "tune": Split("tune", (first,)),
        "report": Split("report", (Prompt(other.text, "harmless"),)),
    }
    check_disjoint(twin, near_duplicate=0.9)
