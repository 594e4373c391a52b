"""Three disjoint splits: pairs stay together, categories keep their shares, and a seed decides the rest."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from random import Random

from saber.config import DataConfig, SplitSizes
from saber.data.duplicates import near_duplicates
from saber.data.prompts import read_source
from saber.types import (
    PROMPT_KINDS,
    SPLIT_NAMES,
    ProbeSet,
    Prompt,
    PromptKind,
    Split,
    SplitName,
    UserError,
    count_kinds,
)

Row = tuple[Prompt, ...]  # what is dealt as one: a pair (harmful, harmless), or a prompt alone
MARKS = ".,;:!?\"'`()[]{}…“”‘’«»¿¡"  # stripped from words; signs such as + - * / make another prompt
MAX_SHOWN = 60


def load_splits(config: DataConfig, organism_seed: int) -> dict[SplitName, Split]:
    """The three splits that a run uses: the organism's own, or made from ``data.sets``.

    Raises:
        UserError: a source cannot be read, holds too few prompts, or two splits overlap.
    """
    if config.source == "organism":
        from saber.data.organism import organism_splits

        if config.sets or any(_sizes(config)[name] != SplitSizes() for name in SPLIT_NAMES):
            raise UserError(
                "data.sets, probe, tune and report are for data.source=sets: the organism has its own splits"
            )
        splits = organism_splits(organism_seed)
    elif config.sets:
        splits = make_splits([prompt for source in config.sets for prompt in read_source(source)], config)
    else:
        raise UserError("data.source=sets needs data.sets, found none: name a file or a hub data set")
    check_disjoint(splits, near_duplicate=None if config.source == "organism" else config.near_duplicate)
    return splits


def make_splits(prompts: Sequence[Prompt], config: DataConfig) -> dict[SplitName, Split]:
    """Deal different prompts into splits of exactly the configured sizes.

    ``harmful[i]`` and ``harmless[i]`` of a split are twins for as many pairs as it holds. Of prompts that differ
    in case, white space or punctuation only, and of near duplicates of one kind, the first is used.

    Raises:
        UserError: there are fewer prompts than asked for, or a pair id is not a pair's own.
    """
    different = _different(prompts, config.near_duplicate)
    sizes = _sizes(config)
    _require_enough(different, sizes)
    rng = Random(f"splits {config.seed}")
    dealt = _deal_pairs(*_match(different), sizes, rng)
    for kind in ("borderline", "capability"):
        alone: list[Row] = [(prompt,) for prompt in different if prompt.kind == kind]
        wanted: dict[SplitName, int] = {name: getattr(sizes[name], kind) for name in SPLIT_NAMES}
        for name, rows in _deal(_stratified(alone, rng), wanted, rng).items():
            dealt[name] += [prompt for (prompt,) in rows]
    return {name: Split(name, tuple(dealt[name])) for name in SPLIT_NAMES}


def check_disjoint(splits: Mapping[SplitName, Split], near_duplicate: float | None = None) -> None:
    """Pass where no prompt is in two splits, whatever its case, white space or punctuation.

    With ``near_duplicate`` no prompt may have nearly the same words as one of its kind in another split either.

    Raises:
        UserError: two splits overlap; the first prompt they share is named.
    """
    keys = {name: {normalised(prompt.text) for prompt in split.prompts} for name, split in splits.items()}
    for one, other in combinations(splits, 2):
        for prompt in splits[other].prompts:
            if normalised(prompt.text) in keys[one]:
                raise UserError(
                    f"expected disjoint splits, found {_shown(prompt)} in {one} and {other}: keep it in one"
                )
    placed = [(name, prompt) for name, split in splits.items() for prompt in split.prompts]
    for later, earlier in _near([prompt for _, prompt in placed], near_duplicate).items():
        (there, original), (here, prompt) = placed[earlier], placed[later]
        if here != there:
            raise UserError(
                f"expected disjoint splits, found {_shown(prompt)} in {here}, nearly the same as {_shown(original)}"
                f" in {there}: keep one, or raise data.near_duplicate"
            )


def probe_set(split: Split, n_probe: int, n_capability: int, seed: int) -> ProbeSet:
    """The first so many pairs and capability prompts, in a seeded order that mixes the categories evenly.

    A smaller probe set of the same split and seed is a prefix of a larger one.

    Raises:
        UserError: the split has fewer than asked for.
    """
    rng = Random(f"probe {seed}")
    pairs, harmful, harmless = _match(split.prompts)
    alone = zip(_stratified(harmful, rng), _stratified(harmless, rng), strict=False)
    rows = _stratified([*pairs, *((h, s) for (h,), (s,) in alone)], rng)
    capability = _stratified([(prompt,) for prompt in split.of("capability")], rng)
    for key, what, asked, found in (
        ("n_probe", "pairs", n_probe, len(rows)),
        ("n_capability", "capability prompts", n_capability, len(capability)),
    ):
        if asked > found:
            raise UserError(
                f"data.{key} asks for {asked} {what}, the {split.name} split has {found}:"
                f" lower data.{key} or name more data"
            )
    return ProbeSet(
        harmful=tuple(row[0] for row in rows[:n_probe]),
        harmless=tuple(row[1] for row in rows[:n_probe]),
        capability=tuple(row[0] for row in capability[:n_capability]),
    )


def normalised(text: str) -> str:
    """The text without what does not make another prompt: case, white space and punctuation around words."""
    words = unicodedata.normalize("NFKC", text).replace("’", "'").casefold().split()
    return " ".join(filter(None, (word.strip(MARKS) for word in words))) or " ".join(words)


def _different(prompts: Sequence[Prompt], near_duplicate: float | None) -> list[Prompt]:
    """The first of equal prompts and of near duplicates of one kind; a twin of another kind repeats nothing."""
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault(normalised(prompt.text), prompt)
    exact = list(first.values())
    repeated = _near(exact, near_duplicate)
    return [prompt for i, prompt in enumerate(exact) if i not in repeated]


def _near(prompts: Sequence[Prompt], threshold: float | None) -> dict[int, int]:
    """Index of each near duplicate -> that of the earlier prompt of its kind that it repeats."""
    found: dict[int, int] = {}
    if threshold is None:
        return found
    for kind in PROMPT_KINDS:
        places = [i for i, prompt in enumerate(prompts) if prompt.kind == kind]
        texts = [normalised(prompts[i].text) for i in places]
        found |= {places[i]: places[j] for i, j in near_duplicates(texts, threshold).items()}
    return found


def _sizes(config: DataConfig) -> dict[SplitName, SplitSizes]:
    return {"probe": config.probe, "tune": config.tune, "report": config.report}


def _require_enough(prompts: Sequence[Prompt], sizes: Mapping[SplitName, SplitSizes]) -> None:
    found = count_kinds(prompts)
    asked: dict[str, int] = {kind: sum(getattr(s, kind) for s in sizes.values()) for kind in PROMPT_KINDS}
    short = [kind for kind in PROMPT_KINDS if asked[kind] > found[kind]]
    if short:
        raise UserError(
            f"data.probe, tune and report ask for {_counts(asked, short)} prompts together,"
            f" found {_counts(found, short)} different ones: lower the sizes or name more data"
        )


def _counts(numbers: Mapping[str, int], kinds: Sequence[PromptKind]) -> str:
    return ", ".join(f"{numbers[kind]} {kind}" for kind in kinds)


def _match(prompts: Sequence[Prompt]) -> tuple[list[Row], list[Row], list[Row]]:
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
    found: dict[str, Prompt] = {}
    for prompt in prompts:
        if prompt.kind != kind or prompt.pair_id is None:
            continue
        if prompt.pair_id in found:
            raise UserError(
                f"expected one {kind} prompt a pair, found {_shown(found[prompt.pair_id])} and {_shown(prompt)}"
                f" with pair_id {prompt.pair_id}: give each pair its own"
            )
        found[prompt.pair_id] = prompt
    return found


def _deal_pairs(
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
    in_order = _stratified(pairs, rng)
    paired = _deal(in_order, whole, rng)
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
        for name, rows in _deal([*_stratified(lone, rng), *halves], wanted, rng).items():
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


def _deal(rows: Sequence[Row], sizes: Mapping[SplitName, int], rng: Random) -> dict[SplitName, list[Row]]:
    """Deal the first rows so that each split gets its size of them, and its share of every category.

    Category after category, each row goes to the split that is furthest behind its share.
    """
    total = sum(sizes.values())
    dealt: dict[SplitName, list[Row]] = {name: [] for name in sizes}
    for position, row in enumerate(sorted(rows[:total], key=lambda row: row[0].category), start=1):
        behind = {name: size * position - total * len(dealt[name]) for name, size in sizes.items()}
        dealt[max(behind, key=behind.__getitem__)].append(row)
    return {name: _stratified(found, rng) for name, found in dealt.items()}


def _stratified(rows: Sequence[Row], rng: Random) -> list[Row]:
    """A random order in which every beginning holds each category in its share of the whole."""
    strata: dict[str, list[Row]] = defaultdict(list)
    for row in rng.sample(rows, len(rows)):
        strata[row[0].category].append(row)
    spread = [((i + 0.5) / len(stratum), row) for stratum in strata.values() for i, row in enumerate(stratum)]
    return [row for _, row in sorted(spread, key=lambda placed: placed[0])]


def _shown(prompt: Prompt) -> str:
    text = prompt.text if len(prompt.text) <= MAX_SHOWN else prompt.text[:MAX_SHOWN] + "…"
    return repr(text)
