"""Sizes of splits from what there is: shared out evenly, up to what measures well enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from saber.config import SplitSizes
from saber.types import PROMPT_KINDS, SPLIT_NAMES, Prompt, SplitName, UserError, count_kinds

# Beyond 128 pairs directions gain little; 100 tune prompts keep a trial short; 200 held-out ones give +-7 points.
MOST: Mapping[SplitName, SplitSizes] = {
    "probe": SplitSizes(harmful=128, harmless=128, borderline=0, capability=96),
    "tune": SplitSizes(harmful=100, harmless=100, borderline=100, capability=100),
    "report": SplitSizes(harmful=200, harmless=120, borderline=150, capability=200),
}
FEWEST = 12  # harmful and harmless prompts each: four a split
STANDING_IN = 4  # a quarter of the harmless prompts where no capability prompts are named


def fitted_sizes(prompts: Sequence[Prompt], sizes: Mapping[SplitName, SplitSizes]) -> dict[SplitName, SplitSizes]:
    """The sizes asked for; of a kind that no split asks for, what there is, shared out evenly up to `MOST`.

    Raises:
        UserError: fewer harmful or harmless prompts than `FEWEST` are there to share out.
    """
    there = count_kinds(prompts)
    fitted = dict(sizes)
    for kind in PROMPT_KINDS:
        if any(getattr(size, kind) for size in sizes.values()):
            continue
        if kind in ("harmful", "harmless") and there[kind] < FEWEST:
            raise UserError(
                f"expected at least {FEWEST} different {kind} prompts for three splits, found {there[kind]}: name more"
            )
        shares = share_out(there[kind], {name: getattr(MOST[name], kind) for name in SPLIT_NAMES})
        fitted = {name: replace(fitted[name], **{kind: shares[name]}) for name in SPLIT_NAMES}
    return fitted


def share_out(n: int, most: Mapping[SplitName, int]) -> dict[SplitName, int]:
    """Share ``n`` out one by one to whoever has the least and room for more."""
    shares = dict.fromkeys(most, 0)
    for _ in range(min(n, sum(most.values()))):
        open_ = [name for name in most if shares[name] < most[name]]
        shares[min(open_, key=shares.__getitem__)] += 1
    return shares


def with_capability(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts, a quarter of the harmless ones as capability prompts: ordinary use of any kind.

    They have no answer, so that no accuracy is made up. Twins of harmful prompts are taken last.
    """
    harmless = [i for i, prompt in enumerate(prompts) if prompt.kind == "harmless"]
    lone_last = sorted(harmless, key=lambda i: prompts[i].pair_id is None)
    n_spare = min(max(FEWEST // 2, len(harmless) // STANDING_IN), sum(size.capability for size in MOST.values()))
    chosen = set(lone_last[-n_spare:])
    return [
        replace(prompt, kind="capability", category="", pair_id=None) if i in chosen else prompt
        for i, prompt in enumerate(prompts)
    ]


def spoken_sizes(sizes: Mapping[SplitName, SplitSizes]) -> str:
    """How many prompts of each kind are in which split, in one line."""
    told = [
        f"{kind} {' + '.join(str(getattr(sizes[name], kind)) for name in SPLIT_NAMES)}"
        for kind in PROMPT_KINDS
        if any(getattr(size, kind) for size in sizes.values())
    ]
    return f"splits (probe + tune + report): {', '.join(told)}"
