"""Drafts: what other trials replied, which one pass of the model can check many tokens at a time.

Greedy text has one continuation, so a guess that the model itself confirms token by token is that text (speculative
decoding, Leviathan et al. 2023, with the study's own past as the draft model). A wrong guess costs time, never truth.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

MAX_TRIALS = 128  # whose replies are kept, the latest
PHRASE = 3  # tokens after which the next one is guessed where no trial's reply began so
MAX_PHRASES = 2**16  # some 15 megabytes; beyond it they are learnt anew

Replies = Sequence["array[int]"]


@dataclass(frozen=True, eq=False)
class Drafts:
    """What one trial's replies are guessed to be: other trials' by likeness, and how phrases went on in any reply.

    ``cache`` is the class of a cache that forgets what was refused.
    """

    cache: type
    by_likeness: Sequence[Replies]
    phrases: Mapping[tuple[int, ...], int]

    def after(self, prompt: int, said: Sequence[int], limit: int) -> list[int]:
        """How a reply to a prompt goes on, for at most ``limit`` tokens; empty where there is no guess.

        As the reply of the most alike trial that began with what was ``said``; where none did, token by token as the
        last three went on when they were last seen.
        """
        begun = array("q", said)
        for replies in self.by_likeness:
            reply = replies[prompt]
            if len(reply) > len(begun) and reply[: len(begun)] == begun:
                return reply[len(begun) : len(begun) + limit].tolist()
        whole = list(said[-PHRASE:])
        while len(whole) < PHRASE + limit and (token := self.phrases.get(tuple(whole[-PHRASE:]))) is not None:
            whole.append(token)
        return whole[PHRASE:]


class Past:
    """What the base and the latest trials replied to the same prompts, and how each had drifted."""

    def __init__(self, cache: type, base: Sequence[Sequence[int]]) -> None:
        self._cache, self._base = cache, _kept(base)
        self._trials: deque[tuple[Float[Tensor, " drifting"], Replies]] = deque(maxlen=MAX_TRIALS)
        self._phrases: dict[tuple[int, ...], int] = {}
        self._learn_phrases(self._base)

    def emptied(self, base: Sequence[Sequence[int]] | None = None) -> Past:
        """What is known before the first trial: the base alone, or what it replied to other prompts."""
        return Past(self._cache, self._base if base is None else base)

    def learn(self, drift_nats: Float[Tensor, " drifting"], replies: Sequence[Sequence[int]]) -> None:
        """Remember a trial: its KL by drift prompt, and its replies by prompt, their end tokens included."""
        kept = _kept(replies)
        before = self._trials[-1][1] if self._trials else self._base
        self._learn_phrases([reply for reply, old in zip(kept, before, strict=True) if reply != old])
        self._trials.append((_moved(drift_nats), kept))

    def like(self, drift_nats: Float[Tensor, " drifting"]) -> Drafts:
        """Drafts for a trial that drifts so: past ones in the order of |sqrt(KL) - sqrt(KL')| over drift prompts.

        KL grows with the square of a small edit, so its root is about as far as the edit has moved a prompt.
        """
        wanted = _moved(drift_nats)
        past = [(torch.zeros_like(wanted), self._base), *self._trials]
        order = (torch.stack([drift for drift, _ in past]) - wanted).square().sum(dim=1).argsort().tolist()
        return Drafts(self._cache, [past[i][1] for i in order], self._phrases)

    def _learn_phrases(self, replies: Replies) -> None:
        if len(self._phrases) > MAX_PHRASES:
            self._phrases.clear()
        for reply in replies:
            self._phrases.update({tuple(reply[at - PHRASE : at]): reply[at] for at in range(PHRASE, len(reply))})


def _kept(replies: Sequence[Sequence[int]]) -> Replies:
    return [array("q", reply) for reply in replies]


def _moved(drift_nats: Float[Tensor, " drifting"]) -> Float[Tensor, " drifting"]:
    return drift_nats.clamp(min=0).sqrt()
