"""Splits are sized from what there is, and two plain files are enough."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saber.config import DataConfig, SplitSizes
from saber.data.sizes import FEWEST, MOST, fitted_sizes, share_out, with_capability
from saber.data.splits import load_splits, make_splits, probe_counts
from saber.types import PROMPT_KINDS, SPLIT_NAMES, Prompt, PromptKind, UserError, count_kinds

untimed = settings(deadline=None, derandomize=True)
NONE = {name: SplitSizes() for name in SPLIT_NAMES}


def numbered(kind: PromptKind, n: int, n_pairs: int = 0) -> list[Prompt]:
    return [Prompt(f"{kind} {i}", kind, pair_id=str(i) if i < n_pairs else None) for i in range(n)]


@untimed
@given(st.integers(0, 600), st.sampled_from(PROMPT_KINDS))
def test_shares_are_even_up_to_the_most(n: int, kind: PromptKind) -> None:
    most = {name: getattr(MOST[name], kind) for name in SPLIT_NAMES}
    shares = share_out(n, most)
    assert sum(shares.values()) == min(n, sum(most.values()))
    assert all(shares[name] <= most[name] for name in SPLIT_NAMES)
    below = [shares[name] for name in SPLIT_NAMES if shares[name] < most[name]]
    assert not below or max(shares.values()) - min(below) <= 1


@untimed
@given(st.integers(FEWEST, 300), st.integers(FEWEST, 300), st.integers(0, 300), st.integers(0, 60))
def test_what_is_sized_can_always_be_dealt(harmful: int, harmless: int, pairs: int, capability: int) -> None:
    pairs = min(pairs, harmful, harmless)
    prompts = [
        *numbered("harmful", harmful, pairs),
        *numbered("harmless", harmless, pairs),
        *numbered("capability", capability),
    ]
    sizes = fitted_sizes(prompts, NONE)
    named: dict[str, Any] = {str(name): size for name, size in sizes.items()}
    asked = DataConfig(source="sets", near_duplicate=None, **named)
    splits = make_splits(prompts, asked)
    for name in SPLIT_NAMES:
        assert count_kinds(splits[name].prompts) == {kind: getattr(sizes[name], kind) for kind in PROMPT_KINDS}
        assert count_kinds(splits[name].prompts)["harmful"] >= FEWEST // 3


def test_a_size_that_is_given_is_kept_and_the_others_are_found() -> None:
    prompts = [*numbered("harmful", 30), *numbered("harmless", 60), *numbered("borderline", 9)]
    asked = {**NONE, "tune": SplitSizes(harmful=5), "probe": SplitSizes(harmful=20)}
    sizes = fitted_sizes(prompts, asked)
    assert [sizes[name].harmful for name in SPLIT_NAMES] == [20, 5, 0]
    assert [sizes[name].harmless for name in SPLIT_NAMES] == [20, 20, 20]
    assert [sizes[name].borderline for name in SPLIT_NAMES] == [0, 5, 4]


def test_too_few_prompts_are_named() -> None:
    with pytest.raises(UserError, match="at least 12 different harmful prompts for three splits, found 3"):
        fitted_sizes([*numbered("harmful", 3), *numbered("harmless", 50)], NONE)


def test_harmless_prompts_stand_for_ordinary_use_without_a_made_up_answer() -> None:
    sized = with_capability([*numbered("harmful", 40, 30), *numbered("harmless", 40, 30)])
    assert count_kinds(sized) == {"harmful": 40, "harmless": 30, "borderline": 0, "capability": 10}
    assert all(prompt.answer is None and prompt.pair_id is None for prompt in sized if prompt.kind == "capability")
    assert sum(prompt.pair_id is not None for prompt in sized if prompt.kind == "harmless") == 30


def test_two_plain_files_become_three_splits_and_it_is_said(tmp_path: Path) -> None:
    for kind in ("harmful", "harmless"):
        (tmp_path / f"{kind}.txt").write_text("".join(f"{word} {kind}\n" for word in map(str, range(48))))
    asked = DataConfig(
        source="organism",
        harmful=str(tmp_path / "harmful.txt"),
        harmless=str(tmp_path / "harmless.txt"),
        n_probe=None,
        n_capability=None,
    )
    said: list[str] = []
    splits = load_splits(asked, 0, say=said.append)
    assert [count_kinds(splits[name].prompts)["harmful"] for name in SPLIT_NAMES] == [16, 16, 16]
    assert probe_counts(splits["probe"]) == (12, 4)
    assert re.search(r"harmful\.txt: 48 harmful prompts from 'prompt'", said[0])
    assert "12 harmless prompts stand for ordinary use" in said[-2]
    assert (
        said[-1] == "splits (probe + tune + report): harmful 16 + 16 + 16, harmless 12 + 12 + 12, capability 4 + 4 + 4"
    )


def test_harmful_and_harmless_are_named_together() -> None:
    with pytest.raises(
        UserError, match=r"data\.harmful and data\.borderline replace data\.sets, and data\.harmless must"
    ):
        load_splits(DataConfig(source="sets", harmful="a.txt", borderline="b.txt"), 0)
    with pytest.raises(UserError, match=r"data\.protected names categories of data\.harmful, found none"):
        load_splits(DataConfig(source="sets", protected=("a",)), 0)
