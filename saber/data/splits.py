"""Three disjoint splits: pairs stay together, categories keep their shares, and a seed decides the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from random import Random

from saber.config import DataConfig, PromptSource, SplitSizes
from saber.data.allocation import Row, deal, deal_pairs, match_pairs, stratified
from saber.data.duplicates import different, normalised, repeats, shown
from saber.data.sizes import fitted_sizes, spoken_sizes, with_capability
from saber.data.sources import Say, read_source
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
from saber.vocabulary import OrganismFamily


def load_splits(
    config: DataConfig, organism_seed: int, family: OrganismFamily = "gemma4", say: Say = lambda _: None
) -> dict[SplitName, Split]:
    """The three splits that a run uses: the organism's own, or made from the named files or ``data.sets``.

    ``say`` is told what was read and how it is split, where that was found out.

    Raises:
        UserError: a source cannot be read, holds too few prompts, or two splits overlap.
    """
    _check_named(config)
    if config.source == "organism" and not config.named:
        splits = _organism_splits(config, organism_seed, family)
        check_disjoint(splits)
        return splits
    sources = config.named or config.sets
    if not sources:
        raise UserError("data.source=sets needs data.sets, found none: name a file or a hub data set")
    splits = _split_sources(sources, config, say)
    check_disjoint(splits, near_duplicate=config.near_duplicate)
    return splits


def _check_named(config: DataConfig) -> None:
    named = [source.kind for source in config.named]
    missing = [kind for kind in ("harmful", "harmless") if kind not in named]
    if named and missing:
        raise UserError(
            f"data.{' and data.'.join(named)} replace data.sets, and data.{' and data.'.join(missing)} must be named"
            " beside: give a file or a hub data set"
        )
    if config.protected and not named:
        raise UserError("data.protected names categories of data.harmful, found none: say protected in data.sets")


def _organism_splits(config: DataConfig, seed: int, family: OrganismFamily) -> dict[SplitName, Split]:
    from saber.organism.prompt_sets import organism_splits

    if config.sets:
        raise UserError("data.sets are for data.source=sets: the organism has its own prompts")
    splits, sizes = organism_splits(seed, family), _sizes(config)
    return {name: split if sizes[name] == SplitSizes() else first(split, sizes[name]) for name, split in splits.items()}


def first(split: Split, sizes: SplitSizes) -> Split:
    """The first so many prompts of each kind of a split.

    Raises:
        UserError: it has fewer.
    """
    wanted: dict[PromptKind, int] = {kind: getattr(sizes, kind) for kind in PROMPT_KINDS}
    short = [f"{len(split.of(kind))} {kind}" for kind, n in wanted.items() if n > len(split.of(kind))]
    if short:
        raise UserError(f"expected no more in data.{split.name} than the organism has, which is {', '.join(short)}")
    return Split(split.name, tuple(prompt for kind, n in wanted.items() for prompt in split.of(kind)[:n]))


def _split_sources(sources: Sequence[PromptSource], config: DataConfig, say: Say) -> dict[SplitName, Split]:
    read = [prompt for source in sources for prompt in read_source(source, say)]
    chosen = different(read, config.near_duplicate)
    if len(chosen) < len(read):
        say(f"{len(read) - len(chosen)} of {len(read)} prompts repeat another one, or nearly, and are left out")
    if config.named and config.capability is None:
        chosen = with_capability(chosen)
        n = sum(prompt.kind == "capability" for prompt in chosen)
        say(f"no data.capability: {n} harmless prompts stand for ordinary use that an edit should leave alone")
    sizes = fitted_sizes(chosen, _sizes(config))
    say(spoken_sizes(sizes))
    return _dealt(chosen, sizes, config.seed)


def make_splits(prompts: Sequence[Prompt], config: DataConfig) -> dict[SplitName, Split]:
    """Deal different prompts into splits of exactly the configured sizes.

    ``harmful[i]`` and ``harmless[i]`` of a split are twins for as many pairs as it holds. Of prompts that differ
    in case, white space or punctuation only, and of near duplicates of one kind, the first is used.

    Raises:
        UserError: there are fewer prompts than asked for, a prompt is of two kinds, or a pair id is not a pair's own.
    """
    return _dealt(different(prompts, config.near_duplicate), _sizes(config), config.seed)


def _dealt(chosen: Sequence[Prompt], sizes: Mapping[SplitName, SplitSizes], seed: int) -> dict[SplitName, Split]:
    _require_enough(chosen, sizes)
    rng = Random(f"splits {seed}")
    dealt = deal_pairs(*match_pairs(chosen), sizes, rng)
    for kind in ("borderline", "capability"):
        alone: list[Row] = [(prompt,) for prompt in chosen if prompt.kind == kind]
        wanted: dict[SplitName, int] = {name: getattr(sizes[name], kind) for name in SPLIT_NAMES}
        for name, rows in deal(stratified(alone, rng), wanted, rng).items():
            dealt[name] += [prompt for (prompt,) in rows]
    return {name: Split(name, tuple(dealt[name])) for name in SPLIT_NAMES}


def check_disjoint(splits: Mapping[SplitName, Split], near_duplicate: float | None = None) -> None:
    """Pass where no prompt is in two splits, whatever its case, white space or punctuation.

    With ``near_duplicate`` no prompt may have nearly the same words as one of its kind in another split either.

    Raises:
        UserError: two splits overlap; the first prompt they share is named.
    """
    keys = {name: {normalised(prompt.text) for prompt in split.prompts} for name, split in splits.items()}
    for name, other in combinations(splits, 2):
        for prompt in splits[other].prompts:
            if normalised(prompt.text) in keys[name]:
                raise UserError(
                    f"expected disjoint splits, found {shown(prompt)} in {name} and {other}: keep it in one"
                )
    placed = [(name, prompt) for name, split in splits.items() for prompt in split.prompts]
    for later, earlier in repeats([prompt for _, prompt in placed], near_duplicate).items():
        (there, original), (here, prompt) = placed[earlier], placed[later]
        if here != there:
            raise UserError(
                f"expected disjoint splits, found {shown(prompt)} in {here}, nearly the same as {shown(original)}"
                f" in {there}: keep one, or raise data.near_duplicate"
            )


def probe_set(split: Split, sizes: tuple[int, int, int], seed: int) -> ProbeSet:
    """The first so many pairs, capability and borderline prompts, in a seeded order that mixes the categories evenly.

    A smaller probe set of the same split and seed is a prefix of a larger one.

    Raises:
        UserError: the split has fewer than asked for.
    """
    n_probe, n_capability, n_borderline = sizes
    rng = Random(f"probe {seed}")
    pairs, harmful, harmless = match_pairs(split.prompts)
    alone = zip(stratified(harmful, rng), stratified(harmless, rng), strict=False)
    rows = stratified([*pairs, *((h, s) for (h,), (s,) in alone)], rng)
    capability = stratified([(prompt,) for prompt in split.of("capability")], rng)
    borderline = stratified([(prompt,) for prompt in split.of("borderline")], rng)
    for key, what, asked, n_there in (
        ("n_probe", "pairs", n_probe, len(rows)),
        (
            "n_probe" if n_borderline == n_probe else "n_borderline",
            "borderline prompts",
            n_borderline,
            len(borderline),
        ),
        ("n_capability", "capability prompts", n_capability, len(capability)),
    ):
        if asked > n_there:
            raise UserError(
                f"data.{key} asks for {asked} {what}, the {split.name} split has {n_there}:"
                f" lower data.{key} or name more data"
            )
    return ProbeSet(
        harmful=tuple(row[0] for row in rows[:n_probe]),
        harmless=tuple(row[1] for row in rows[:n_probe]),
        capability=tuple(row[0] for row in capability[:n_capability]),
        borderline=tuple(row[0] for row in borderline[:n_borderline]),
    )


def probe_counts(split: Split) -> tuple[int, int]:
    """The most pairs and capability prompts that directions can be extracted from."""
    pairs, harmful, harmless = match_pairs(split.prompts)
    return len(pairs) + min(len(harmful), len(harmless)), len(split.of("capability"))


def _sizes(config: DataConfig) -> dict[SplitName, SplitSizes]:
    return {"probe": config.probe, "tune": config.tune, "report": config.report}


def _require_enough(prompts: Sequence[Prompt], sizes: Mapping[SplitName, SplitSizes]) -> None:
    counts = count_kinds(prompts)
    asked: dict[str, int] = {kind: sum(getattr(s, kind) for s in sizes.values()) for kind in PROMPT_KINDS}
    short = [kind for kind in PROMPT_KINDS if asked[kind] > counts[kind]]
    if short:
        raise UserError(
            f"data.probe, tune and report ask for {_counts(asked, short)} prompts together,"
            f" found {_counts(counts, short)} that differ: lower the sizes or name more data"
        )


def _counts(numbers: Mapping[str, int], kinds: Sequence[PromptKind]) -> str:
    return ", ".join(f"{numbers[kind]} {kind}" for kind in kinds)
