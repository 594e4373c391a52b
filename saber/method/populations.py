"""Populations: from which inputs refusal is to be taken, and which are to be left alone.

Taken: harmful prompts whose refusals may go, or refused borderline ones where only false refusals are looked for. Left
alone, as one population each: harmless prompts, capability prompts, and positions of the base's own replies to them;
answered borderline prompts with theirs; and refusals that are to be kept, with theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from saber.options.conditions import SPARES_ANSWERED
from saber.options.reading_options import ReadingOptions
from saber.types import LookedAt
from saber.vocabulary import PROMPT_KINDS, Contrast, PromptKind

ALL_HARMFUL = ("harmful", "harmful_and_answered")
N_POPULATIONS = 7  # at most: taken, four spared and two kept


@dataclass(frozen=True, eq=False)
class Populations:
    """Numbers of rows: what refusal is taken from, where answered prompts are, what is spared, and refusals kept."""

    taken: Int[Tensor, " taken"]
    answered: Int[Tensor, " answered"]
    spared: tuple[Int[Tensor, " _"], ...]
    kept: tuple[Int[Tensor, " _"], ...]

    def weights(self, kept_weight: float) -> list[float]:
        """By population that is left alone, how much it counts: all alike but for kept refusals."""
        return [1.0] * len(self.spared) + [kept_weight] * len(self.kept)


def populations(
    rows: LookedAt,
    *,
    sizes: tuple[int, int, int],
    contrast: Contrast,
    options: ReadingOptions,
    is_protected: Bool[Tensor, " harmful"],
    is_refused: Bool[Tensor, " borderline"],
) -> Populations:
    """The populations of the first ``sizes`` pairs, capability and borderline prompts.

    Of borderline prompts, where they are looked at, refused ones are taken from and answered ones spared. Prompts of
    protected categories are kept unless ``protects`` is ``none``, all harmful ones where ``spares`` says so.

    Raises:
        ValueError: harmful prompts are to be spared and taken from, or there are none to take from.
    """
    spares = options.spares
    if contrast == "refusal" and spares in ALL_HARMFUL:
        raise ValueError(f"expected edit.contrast=false_refusal with edit.spares={spares}, found refusal")
    counts = dict(zip(PROMPT_KINDS, (sizes[0], sizes[0], sizes[2], sizes[1]), strict=True))
    limits = torch.tensor([counts[kind] for kind in PROMPT_KINDS])
    chosen = rows.prompt < limits[rows.kind]
    replies = options.inputs.replies
    ends, in_replies = rows.place_in_reply == 0, (rows.place_in_reply > 0) & (rows.place_in_reply <= replies)

    def of(kind: PromptKind) -> Bool[Tensor, " row"]:
        return chosen & (rows.kind == PROMPT_KINDS.index(kind))

    harmful, borderline = of("harmful"), of("borderline")
    protected = harmful & _labelled(rows.prompt, harmful, is_protected)
    refused = borderline & _labelled(rows.prompt, borderline, is_refused)
    looks_at_borderline = contrast == "false_refusal" or SPARES_ANSWERED.holds(options)
    taken = refused if looks_at_borderline else torch.zeros_like(refused)
    kept = harmful if spares in ALL_HARMFUL else protected
    if not options.keeps_refusals:
        kept = torch.zeros_like(kept)
    if contrast == "refusal":
        taken = taken | (harmful & ~kept)
    answered = borderline & ~refused if looks_at_borderline else torch.zeros_like(refused)
    ordinary = of("harmless") | of("capability")
    spared = [of("harmless") & ends, of("capability") & ends, answered & ends, (ordinary | answered) & in_replies]
    if not (taken & ends).any():
        raise ValueError("expected prompts whose refusals may go among the probes, found none: all are to be kept")
    return Populations(
        _numbers(taken & ends),
        _numbers((answered if contrast == "false_refusal" else of("harmless")) & ends),
        _present(spared),
        _present([kept & ends, kept & in_replies]),
    )


def _labelled(
    prompt: Int[Tensor, " row"], where: Bool[Tensor, " row"], label: Bool[Tensor, " prompt"]
) -> Bool[Tensor, " row"]:
    """The label of each row's prompt, where the rows are of that kind."""
    is_labelled = torch.zeros_like(where)
    is_labelled[where] = label.cpu()[prompt[where]]
    return is_labelled


def _numbers(rows: Bool[Tensor, " row"]) -> Int[Tensor, " chosen"]:
    return torch.nonzero(rows).flatten()


def _present(masks: Sequence[Bool[Tensor, " row"]]) -> tuple[Int[Tensor, " _"], ...]:
    return tuple(_numbers(rows) for rows in masks if rows.any())
