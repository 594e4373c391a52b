"""Splits are disjoint, exactly as large as asked, keep pairs together, and a seed decides everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saber.config import DataConfig, PromptSource, SplitSizes
from saber.data.duplicates import normalised
from saber.data.splits import check_disjoint, load_splits, make_splits, probe_set
from saber.types import PROMPT_KINDS, SPLIT_NAMES, Prompt, PromptKind, Split, SplitName, UserError, count_kinds

untimed = settings(deadline=None, derandomize=True)  # other work may share the machine
CATEGORIES = ("", "a", "b", "c")


def pool(
    n_pairs: int = 0, harmful: int = 0, harmless: int = 0, borderline: int = 0, capability: int = 0
) -> list[Prompt]:
    """Placeholder prompts: twins first, then prompts of each kind alone, categories in turn."""

    def prompt(kind: PromptKind, i: int, pair_id: str | None = None) -> Prompt:
        return Prompt(f"{kind} {pair_id} {i}", kind, CATEGORIES[i % len(CATEGORIES)], pair_id=pair_id)

    kinds = dict(zip(PROMPT_KINDS, (harmful, harmless, borderline, capability), strict=True))
    twins = [prompt(kind, i, f"p{i}") for kind in PROMPT_KINDS[:2] for i in range(n_pairs)]
    return twins + [prompt(kind, i) for kind, count in kinds.items() for i in range(count)]


def config(seed: int = 0, **sizes: Any) -> DataConfig:
    return DataConfig(source="sets", seed=seed, **sizes)


def message(prompts: list[Prompt], asked: DataConfig) -> str:
    """The one line that splitting fails with."""
    with pytest.raises(UserError) as caught:
        make_splits(prompts, asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def twins_in(split: Split) -> list[bool]:
    """Where ``harmful[i]`` and ``harmless[i]`` are a pair."""
    both = zip(split.of("harmful"), split.of("harmless"), strict=False)
    return [h.pair_id is not None and h.pair_id == s.pair_id for h, s in both]


def texts(prompts: Iterable[Prompt]) -> list[str]:
    return [prompt.text for prompt in prompts]


counts = st.integers(0, 12)
sizes = st.builds(SplitSizes, harmful=counts, harmless=counts, borderline=counts, capability=counts)


@st.composite
def enough(draw: st.DrawFn) -> tuple[list[Prompt], DataConfig]:
    """Any sizes, and prompts that suffice for them even when pairs must stay together."""
    asked = config(draw(st.integers(0, 99)), **{str(name): draw(sizes) for name in SPLIT_NAMES})
    of = [asked.probe, asked.tune, asked.report]
    n_pairs = draw(st.integers(0, 40))
    extra = draw(st.integers(0, 3))
    room = min(n_pairs, sum(min(size.harmful, size.harmless) for size in of))
    harmful, harmless, borderline, capability = (
        sum(getattr(size, kind) for size in of) + extra for kind in PROMPT_KINDS
    )
    prompts = pool(n_pairs, harmful - room, harmless - room, borderline, capability)
    return draw(st.permutations(prompts)), asked


@untimed
@given(enough())
def test_sizes_are_exact_and_splits_disjoint(given_data: tuple[list[Prompt], DataConfig]) -> None:
    prompts, asked = given_data
    splits = make_splits(prompts, asked)
    for name in SPLIT_NAMES:
        size: SplitSizes = getattr(asked, name)
        counts = count_kinds(splits[name].prompts)
        assert counts == {kind: getattr(size, kind) for kind in PROMPT_KINDS}
        assert splits[name].name == name
    dealt = [prompt for split in splits.values() for prompt in split.prompts]
    assert len(set(dealt)) == len(dealt)
    assert set(dealt) <= set(prompts)
    check_disjoint(splits)


@untimed
@given(enough())
def test_pairs_stay_together_and_come_first(given_data: tuple[list[Prompt], DataConfig]) -> None:
    splits = make_splits(*given_data)
    for earlier, other in combinations(splits.values(), 2):
        ids = [{p.pair_id for p in split.prompts if p.pair_id} for split in (earlier, other)]
        assert not ids[0] & ids[1]
    for split in splits.values():
        twins = twins_in(split)
        assert twins == sorted(twins, reverse=True)
        shared = {p.pair_id for p in split.of("harmful")} & {p.pair_id for p in split.of("harmless")}
        assert sum(twins) == len(shared - {None})


@untimed
@given(enough())
def test_as_many_pairs_as_fit_are_used_whole(given_data: tuple[list[Prompt], DataConfig]) -> None:
    prompts, asked = given_data
    splits = make_splits(prompts, asked)
    n_pairs = len({p.pair_id for p in prompts if p.pair_id})
    room = sum(min(size.harmful, size.harmless) for size in (asked.probe, asked.tune, asked.report))
    assert sum(sum(twins_in(split)) for split in splits.values()) == min(n_pairs, room)


@untimed
@given(enough())
def test_same_seed_same_splits(given_data: tuple[list[Prompt], DataConfig]) -> None:
    once, again = make_splits(*given_data), make_splits(*given_data)
    assert {name: split.digest for name, split in once.items()} == {name: split.digest for name, split in again.items()}


@untimed
@given(st.integers(0, 99))
def test_other_seed_other_splits(seed: int) -> None:
    asked = {"probe": SplitSizes(20, 20, 20, 20), "tune": SplitSizes(20, 20, 20, 20)}
    prompts = pool(20, 20, 20, 40, 40)
    splits = make_splits(prompts, config(seed, **asked))
    other = make_splits(prompts, config(seed + 1, **asked))
    for kind in PROMPT_KINDS:
        assert set(splits["probe"].of(kind)) != set(other["probe"].of(kind))


@untimed
@given(st.integers(0, 99))
def test_each_split_has_its_share_of_every_category(seed: int) -> None:
    asked = config(seed, probe=SplitSizes(40, 40), tune=SplitSizes(20, 20), report=SplitSizes(20, 20))
    splits = make_splits(pool(40, 40, 40), asked)
    for split in splits.values():
        for kind in PROMPT_KINDS[:2]:
            prompts = split.of(kind)
            for category, count in Counter(p.category for p in prompts).items():
                assert abs(count - len(prompts) / len(CATEGORIES)) <= 2, (split.name, kind, category)


def test_pairs_are_shared_out_by_size() -> None:
    asked = config(probe=SplitSizes(40, 40), tune=SplitSizes(20, 20), report=SplitSizes(60, 20))
    splits = make_splits(pool(40, 100, 100), asked)
    assert [sum(twins_in(splits[name])) for name in SPLIT_NAMES] == [20, 10, 10]


def test_a_spare_pair_gives_one_half_only() -> None:
    splits = make_splits(pool(10), config(probe=SplitSizes(harmful=6), tune=SplitSizes(harmless=4)))
    ids = [{p.pair_id for p in splits[name].prompts} for name in ("probe", "tune")]
    assert not ids[0] & ids[1]
    asked = config(probe=SplitSizes(harmful=6), tune=SplitSizes(harmless=5))
    assert message(pool(10), asked) == (
        "expected 5 more harmless prompts for data.probe, tune and report, found 4: the others' twins are in another"
        " split and pairs stay together; lower the sizes or name more data"
    )


def test_too_few_prompts_names_every_kind_that_is_short() -> None:
    size = SplitSizes(harmful=10, harmless=5, borderline=5, capability=5)
    assert message(pool(0, 25, 10, 5, 15), config(probe=size, tune=size, report=size)) == (
        "data.probe, tune and report ask for 30 harmful, 15 harmless, 15 borderline prompts together,"
        " found 25 harmful, 10 harmless, 5 borderline that differ: lower the sizes or name more data"
    )


def test_prompts_that_differ_in_form_only_count_once() -> None:
    prompts = [
        Prompt("What's up, Doc?", "harmless", "first"),
        Prompt("  what’s UP doc", "harmless", "second"),
        Prompt("Another", "harmless"),
    ]
    assert len(make_splits(prompts, config(probe=SplitSizes(harmless=2)))["probe"].of("harmless")) == 2
    said = message(prompts, config(probe=SplitSizes(harmless=3)))
    assert "ask for 3 harmless prompts together, found 2 harmless that differ" in said


@pytest.mark.parametrize("kinds", [("harmful", "harmless"), ("borderline", "harmful"), ("capability", "harmless")])
def test_a_prompt_of_two_kinds_is_named(kinds: tuple[PromptKind, PromptKind]) -> None:
    prompts = [Prompt("What's up, Doc?", kinds[0]), Prompt("Another", "harmful"), Prompt("what's up doc", kinds[1])]
    assert message(prompts, config()) == (
        "expected prompts of one kind each, found 1 of two, such as"
        f' "What\'s up, Doc?", {kinds[0]} and {kinds[1]}: take them out of one file'
    )


def test_a_pair_id_names_one_prompt_of_a_kind() -> None:
    prompts = [Prompt("one", "harmful", pair_id="3"), Prompt("two", "harmful", pair_id="3")]
    assert message(prompts, config()) == (
        "expected one harmful prompt a pair, found 'one' and 'two' with pair_id 3: give each pair its own"
    )


# --- normalisation and overlap ---


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Hello, World!", "hello world"),
        ("  a\tb\n", "a b"),
        ("“Quoted”", "quoted"),
        ("don’t", "Don't."),
        ("STRASSE", "straße"),
        ("ﬁne", "fine"),
    ],
)
def test_form_is_not_content(text: str, other: str) -> None:
    assert normalised(text) == normalised(other)


@pytest.mark.parametrize(
    ("text", "other"), [("7 - 3", "7 * 3"), ("7 3", "7 / 3"), ("-5", "5"), ("???", "!!!"), ("C++", "C")]
)
def test_signs_are_content(text: str, other: str) -> None:
    assert normalised(text) != normalised(other)


@untimed
@given(st.text())
def test_normalising_is_idempotent_for_ascii(text: str) -> None:
    plain = text.encode("ascii", "ignore").decode()
    assert normalised(normalised(plain)) == normalised(plain)


def test_overlap_is_named() -> None:
    long = "x" * 70
    splits: dict[SplitName, Split] = {
        "probe": Split("probe", (Prompt("one", "harmful"), Prompt(f"{long}, Y", "harmful"))),
        "tune": Split("tune", (Prompt("two", "harmful"),)),
        "report": Split("report", (Prompt("three", "harmful"), Prompt(f"{long} y.", "harmless"))),
    }
    with pytest.raises(UserError) as caught:
        check_disjoint(splits)
    assert str(caught.value) == (
        f"expected disjoint splits, found {'x' * 60 + '…'!r} in probe and report: keep it in one"
    )


# --- the probe set ---


def probe_split(n_pairs: int, harmful: int, harmless: int, capability: int) -> Split:
    return Split("probe", tuple(pool(n_pairs, harmful, harmless, 0, capability)))


@untimed
@given(st.integers(0, 20), st.integers(0, 10), st.integers(0, 10), st.integers(1, 20), st.integers(0, 99), st.data())
def test_smaller_probe_sets_are_prefixes(
    n_pairs: int, harmful: int, harmless: int, capability: int, seed: int, data: st.DataObject
) -> None:
    split = probe_split(n_pairs, harmful, harmless, capability)
    most = n_pairs + min(harmful, harmless)
    n_probe, n_capability = data.draw(st.integers(0, most)), data.draw(st.integers(0, capability))
    largest = probe_set(split, (most, capability, 0), seed)
    assert probe_set(split, (n_probe, n_capability, 0), seed) == largest.first(n_probe, n_capability, 0)
    assert len(set(largest.harmful)) == len(set(largest.harmless)) == most


@untimed
@given(st.integers(0, 20), st.integers(0, 10), st.integers(0, 10), st.integers(0, 99))
def test_probe_pairs_are_aligned(n_pairs: int, harmful: int, harmless: int, seed: int) -> None:
    split = probe_split(n_pairs, harmful, harmless, 2)
    probes = probe_set(split, (n_pairs + min(harmful, harmless), 2, 0), seed)
    for left, other in zip(probes.harmful, probes.harmless, strict=True):
        assert (left.kind, other.kind) == ("harmful", "harmless")
        assert left.pair_id == other.pair_id


@untimed
@given(st.integers(0, 99), st.integers(1, 48))
def test_every_beginning_of_a_probe_set_mixes_the_categories(seed: int, n_probe: int) -> None:
    probes = probe_set(probe_split(40, 8, 8, 48), (n_probe, n_probe, 0), seed)
    for prompts in (probes.harmful, probes.capability):
        shares = Counter(prompt.category for prompt in prompts)
        assert all(abs(shares[category] - n_probe / len(CATEGORIES)) <= 1 for category in CATEGORIES)


@given(st.integers(0, 99), st.integers(1, 20))
def test_borderline_prompts_join_a_probe_set_without_changing_the_rest(seed: int, n_probe: int) -> None:
    split = Split("probe", tuple(pool(20, 0, 0, 20, 8)))
    without, looked = (probe_set(split, (n_probe, 8, n), seed) for n in (0, n_probe))
    assert (looked.harmful, looked.harmless, looked.capability) == (
        without.harmful,
        without.harmless,
        without.capability,
    )
    assert looked.first(n_probe // 2, 8, n_probe) == probe_set(split, (n_probe // 2, 8, n_probe), seed)
    assert [prompt.kind for prompt in looked.borderline] == ["borderline"] * n_probe


def test_probe_sets_differ_by_seed() -> None:
    split = probe_split(40, 0, 0, 40)
    assert probe_set(split, (20, 20, 0), 0) == probe_set(split, (20, 20, 0), 0)
    assert set(probe_set(split, (20, 20, 0), 0).harmful) != set(probe_set(split, (20, 20, 0), 1).harmful)


def test_too_few_to_probe() -> None:
    split = probe_split(100, 28, 40, 30)
    with pytest.raises(UserError) as caught:
        probe_set(split, (200, 30, 0), 0)
    assert str(caught.value) == (
        "data.n_probe asks for 200 pairs, the probe split has 128: lower data.n_probe or name more data"
    )
    with pytest.raises(UserError) as caught:
        probe_set(split, (60, 50, 0), 0)
    assert str(caught.value) == (
        "data.n_capability asks for 50 capability prompts, the probe split has 30:"
        " lower data.n_capability or name more data"
    )


# --- from configuration to splits ---


def test_load_splits_from_files(tmp_path: Path) -> None:
    for kind in ("harmful", "benign"):
        lines = ["Index,Goal,Category", *(f"{i},A {kind} placeholder {i},c{i % 2}" for i in range(12))]
        (tmp_path / f"{kind}.csv").write_text("\n".join(lines))
    columns = {"prompt": "Goal", "category": "Category", "pair_id": "Index"}
    asked = DataConfig(
        source="sets",
        sets=(
            PromptSource(str(tmp_path / "harmful.csv"), "harmful", columns, protected=("c1",)),
            PromptSource(str(tmp_path / "benign.csv"), "harmless", columns),
        ),
        probe=SplitSizes(6, 6),
        tune=SplitSizes(3, 3),
        report=SplitSizes(3, 3),
    )
    splits = load_splits(asked, organism_seed=0)
    assert all(all(twins_in(split)) for split in splits.values())
    assert [sum(p.protected for p in splits[name].prompts) for name in SPLIT_NAMES] in ([3, 1, 2], [3, 2, 1])


def test_load_splits_of_the_organism() -> None:
    splits = load_splits(DataConfig(source="organism"), organism_seed=0)
    assert tuple(splits) == SPLIT_NAMES
    assert splits["probe"].digest != load_splits(DataConfig(source="organism"), 1)["probe"].digest
    office = load_splits(DataConfig(source="organism"), 0, "qwen3")
    assert not set(texts(office["probe"].prompts)) & set(texts(splits["probe"].prompts))
    probes = probe_set(splits["probe"], (60, 30, 0), 0)
    assert texts(probes.harmful)[:24] == texts(probe_set(splits["probe"], (24, 30, 0), 0).harmful)


def test_sources_that_are_not_there() -> None:
    with pytest.raises(UserError) as caught:
        load_splits(DataConfig(source="sets"), 0)
    assert str(caught.value) == "data.source=sets needs data.sets, found none: name a file or a hub data set"
    with pytest.raises(UserError) as caught:
        load_splits(DataConfig(source="organism", sets=(PromptSource("x.jsonl", kind="harmful"),)), 0)
    assert str(caught.value) == "data.sets are for data.source=sets: the organism has its own prompts"


def test_of_the_organisms_own_splits_the_first_prompts_can_be_taken() -> None:
    whole = load_splits(DataConfig(source="organism"), 0)
    few = load_splits(DataConfig(source="organism", tune=SplitSizes(harmful=18, capability=8)), 0)
    assert (few["probe"], few["report"]) == (whole["probe"], whole["report"])
    assert count_kinds(few["tune"].prompts) == {"harmful": 18, "harmless": 0, "borderline": 0, "capability": 8}
    assert few["tune"].of("harmful") == whole["tune"].of("harmful")[:18]
    with pytest.raises(UserError, match=r"expected no more in data\.report than the organism has, .* 160 harmful"):
        load_splits(DataConfig(source="organism", report=SplitSizes(harmful=161, harmless=96)), 0)
