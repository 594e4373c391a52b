"""Dealing prompts into splits: pairs stay together, and every split gets its share of each category."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random

from saber.config import SplitSizes
from saber.data.duplicates import shown
from saber.types import Prompt, PromptKind, SplitName, UserError

Row = tuple[Prompt, ...]  # what is dealt as one: a pair (harmful, harmless), or a prompt alone


def match_pairs(prompts: Sequence[Prompt]) -> tuple[list[Row], list[Row], list[Row]]:
    """Pairs (harmful, harmless) by their pair id, then the harmful and the harmless that have no twin."""
    harmful = _by_pair_id(prompts, "harmful")
    harmless = _by_pair_id(prompts, "harmless")
    both = [pair_id for pair_id in harmful if pair_id in harmless]
    pairs: list[Row] = [(harmful[pair_id], harmless[pair_id]) for pair_id in both]
    paired = set(both)
    lone: dict[str, list[Row]] = {"harmful": [], "harmless": []}
    for prompt in prompts:
        if prompt.kind in lone and prompt.pair_id not in paired:
            lone[prompt.kind].append((prompt,))
    return pairs, lone["harmful"], lone["harmless"]


def _by_pair_id(prompts: Sequence[Prompt], kind: PromptKind) -> dict[str, Prompt]:
    pairs: dict[str, Prompt] = {}
    for prompt in prompts:
        if prompt.kind != kind or prompt.pair_id is None:
            continue
        if prompt.pair_id in pairs:
            raise UserError(
                f"expected one {kind} prompt a pair, found {shown(pairs[prompt.pair_id])} and {shown(prompt)}"
                f" with pair_id {prompt.pair_id}: give each pair its own"
            )
        pairs[prompt.pair_id] = prompt
    return pairs


def deal_pairs(
    pairs: list[Row],
    harmful: list[Row],
    harmless: list[Row],
    sizes: Mapping[SplitName, SplitSizes],
    rng: Random,
) -> dict[SplitName, list[Prompt]]:
    """Harmful then harmless prompts of each split, its whole pairs first in both.

    Pairs are shared out by the splits' sizes. Where prompts without a twin do not suffice for the rest, one half of
    a spare pair is used and the other half is left out, so that no pair is in two splits.
    """
    room = {name: min(size.harmful, size.harmless) for name, size in sizes.items()}
    whole = _apportion(min(len(pairs), sum(room.values())), room)
    in_order = stratified(pairs, rng)
    paired = deal(in_order, whole, rng)
    spare = in_order[sum(whole.values()) :]
    refused = {name: [row[0] for row in rows] for name, rows in paired.items()}
    answered = {name: [row[1] for row in rows] for name, rows in paired.items()}
    for half, kind, lone, into in ((0, "harmful", harmful, refused), (1, "harmless", harmless, answered)):
        wanted = {name: getattr(size, kind) - whole[name] for name, size in sizes.items()}
        short = max(0, sum(wanted.values()) - len(lone))
        if short > len(spare):
            raise UserError(
                f"expected {short} more {kind} prompts for data.probe, tune and report, found {len(spare)}: the"
                " others' twins are in another split and pairs stay together; lower the sizes or name more data"
            )
        halves: list[Row] = [(row[half],) for row in spare[:short]]
        spare = spare[short:]
        for name, rows in deal([*stratified(lone, rng), *halves], wanted, rng).items():
            into[name] += [prompt for (prompt,) in rows]
    return {name: refused[name] + answered[name] for name in sizes}


def _apportion(total: int, weights: Mapping[SplitName, int]) -> dict[SplitName, int]:
    """Share ``total`` out by weight in whole numbers, the largest remainders first."""
    whole = max(1, sum(weights.values()))
    shares = {name: total * weight // whole for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: -(total * weights[name] % whole))
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def deal(rows: Sequence[Row], sizes: Mapping[SplitName, int], rng: Random) -> dict[SplitName, list[Row]]:
    """Deal the first rows so that each split gets its size of them, and its share of every category.

    Category after category, each row goes to the split that is furthest behind its share.
    """
    total = sum(sizes.values())
    dealt: dict[SplitName, list[Row]] = {name: [] for name in sizes}
    for position, row in enumerate(sorted(rows[:total], key=lambda row: row[0].category), start=1):
        behind = {name: size * position - total * len(dealt[name]) for name, size in sizes.items()}
        dealt[max(behind, key=behind.__getitem__)].append(row)
    return {name: stratified(prompts_dealt, rng) for name, prompts_dealt in dealt.items()}


def stratified(rows: Sequence[Row], rng: Random) -> list[Row]:
    """A random order in which every beginning holds each category in its share of the whole."""
    strata: dict[str, list[Row]] = defaultdict(list)
    for row in rng.sample(rows, len(rows)):
        strata[row[0].category].append(row)
    spread = [((i + 0.5) / len(stratum), row) for stratum in strata.values() for i, row in enumerate(stratum)]
    return [row for _, row in sorted(spread, key=lambda placed: placed[0])]
