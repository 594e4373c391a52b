"""Decoding: rows of T trials that go through the model together, a token or a confirmed draft at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from saber.lm.architecture.adapter import Adapter
from saber.lm.inference.batches import pad_left, pass_tokens
from saber.lm.inference.generation.draft_width import Tried, best_width, confirmed
from saber.lm.inference.generation.drafts import Drafts
from saber.lm.inference.generation.suppression import most_likely, suppressed_of
from saber.lm.inference.kv_cache import ReadingState, joined, select_and_rewind
from saber.lm.inference.prefix import PrefixRead
from saber.lm.inference.residuals import LastTokens
from saber.lm.inference.thought import RowLimit

SHRINK_AT = 0.9  # share of rows still open at which copying the cache pays


@dataclass
class Row:
    """A prompt under one trial: what has been said to it, and the drafts of that trial.

    A filler makes its trial's group as long as the others; what it says does not count.
    """

    prompt: int
    said: list[int]
    limit: RowLimit
    drafts: Drafts | None = None
    is_filler: bool = False
    ended: bool = False
    tried: Tried = field(default_factory=Tried)

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return not (self.ended or self.is_filler)

    def say(self, tokens: Sequence[int], ends: frozenset[int]) -> None:
        """Add tokens up to an end token or the limit."""
        for token in tokens:
            self.said.append(token)
            if token in ends or len(self.said) >= self.limit.after(self.said):
                self.ended = True
                return

    def draft(self) -> list[int]:
        """What it is guessed to say next while open, but for the last token within the limit, which the model puts."""
        if self.drafts is None or not self.is_open:
            return []
        return self.drafts.after(self.prompt, self.said, self.limit.now - len(self.said) - 1)


@dataclass(frozen=True, eq=False)
class HeadStart:
    """What is known before decoding begins; the text is the same without it.

    ``known`` is how each reply begins, by trial and prompt. ``drafts`` are each trial's guesses to be confirmed, so
    many tokens at a time that a pass gives logits of at most ``most_logits`` positions, or of one a row. ``prefix`` is
    what all prompts begin with. ``last_tokens`` is told the residual stream at the end of every prompt of which nothing
    is known.
    """

    known: Sequence[Sequence[Sequence[int]]] | None = None
    drafts: Sequence[Drafts] | None = None
    prefix: PrefixRead = field(default_factory=PrefixRead)
    most_logits: int = sys.maxsize
    last_tokens: LastTokens | None = None


class Decoding:
    """A batch on its way; groups of rows, one for each trial, are of equal length and stay so."""

    def __init__(
        self,
        adapter: Adapter,
        prompts: Sequence[Sequence[int]],
        groups: Sequence[Sequence[Row]],
        ends: frozenset[int],
        start: HeadStart,
    ) -> None:
        self._adapter, self._prompts, self._ends, self._start = adapter, prompts, ends, start
        self._suppressed = suppressed_of(adapter.model.generation_config, ends)
        self._groups = [list(group) for group in groups]
        self._state = ReadingState(adapter, start.drafts[0].cache() if start.drafts else None)
        self._mask = torch.empty(0)
        self._positions: list[int] = []  # of each row's last token, which is not in the cache yet
        self._per_pass = pass_tokens(adapter)

    def finish(self) -> None:
        """Decode every row to its end."""
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """Decode every row to its end, a pass at a time; rows have said more after each."""
        if not self._positions:
            self.begin()
        yield
        while any(row.is_open for row in self._rows()):
            self._step()
            yield

    def begin(self) -> None:
        """Read every row's prompt and what is known of its reply, and say the next tokens.

        A row that is shorter than the longest holds the beginning of its draft where others hold padding on the left.
        """
        rows, last_tokens = self._rows(), self._start.last_tokens
        read = [[*self._prompts[row.prompt], *row.said] for row in rows]
        longest, room = max(map(len, read)), self._room()
        drafts = [row.draft()[: min(longest - len(tokens), room)] for row, tokens in zip(rows, read, strict=True)]
        batch = pad_left(self._adapter, [[*tokens, *draft] for tokens, draft in zip(read, drafts, strict=True)])
        self._mask = batch.attention_mask
        self._positions = [len(tokens) - 1 for tokens in read]
        if last_tokens is not None:
            new = [(i, row.prompt) for i, row in enumerate(rows) if not row.said]
            last_tokens.expect(new, from_end=[1 + len(drafts[i]) for i, _ in new], n_rows=len(rows))
        likely = self._forward(drafts, **self._start.prefix.inputs(batch))
        self._keep(self._confirm(drafts, likely))

    def join(self, others: Sequence[Decoding]) -> None:
        """Go on together with batches of the same trials that have begun as well; those that ended are left out."""
        parts = [part for part in (self, *others) if any(row.is_open for row in part._rows())]
        if parts in ([], [self]):
            return
        starts = list(accumulate((len(part._rows()) for part in parts), initial=0))
        order = [
            start + t * len(part._groups[0]) + i
            for t in range(len(self._groups))
            for part, start in zip(parts, starts, strict=False)
            for i in range(len(part._groups[0]))
        ]
        positions = [position for part in parts for position in part._positions]
        self._state.cache, self._mask = joined(
            [part._state.cache for part in parts], [part._mask for part in parts], order
        )
        self._groups = [[row for part in parts for row in part._groups[t]] for t in range(len(self._groups))]
        self._positions = [positions[i] for i in order]

    def _step(self) -> None:
        """Feed each row's last token and its draft; say what the model confirms and the token that it puts next."""
        rows = self._rows()
        drafts = [row.draft() for row in rows]
        width = best_width(
            [len(draft) for draft, row in zip(drafts, rows, strict=True) if row.is_open],
            confirmed([row.tried for row in rows if row.is_open], [row.tried for row in rows]),
            n_rows=len(rows),
            per_pass=self._per_pass,
            most=self._room(),
        )
        drafts = [[*draft[:width], *[0] * (width - len(draft))] for draft in drafts]
        fed = [[row.said[-1] if row.is_open else 0, *draft] for row, draft in zip(rows, drafts, strict=True)]
        ids = torch.tensor(fed, device=self._mask.device)
        self._mask = torch.cat([self._mask, self._mask.new_ones(ids.shape)], dim=1)
        first = torch.tensor(self._positions, device=ids.device).unsqueeze(1)
        likely = self._forward(
            drafts,
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=first + torch.arange(width + 1, device=ids.device),
        )
        self._keep(self._confirm(drafts, likely))

    def _room(self) -> int:
        """How long drafts may be for the logits of a pass to stay within their number; at least every row's next."""
        return max(0, self._start.most_logits // len(self._rows()) - 1)

    def _confirm(self, drafts: Sequence[Sequence[int]], said: Int[Tensor, "row token"]) -> list[int]:
        """Let each row say what the model finds of its draft and one token more; how much of each draft is refused."""
        refused: list[int] = []
        for i, (row, draft, tokens) in enumerate(zip(self._rows(), drafts, said.tolist(), strict=True)):
            likely = tokens[len(tokens) - len(draft) - 1 :]
            n = n_confirmed(draft, likely) if row.is_open else 0
            if row.is_open:
                row.tried.take(n, of=len(draft))
                row.say(likely[: n + 1], self._ends)
                self._positions[i] += n + 1
            refused.append(len(draft) - n)
        return refused

    def _rows(self) -> list[Row]:
        return [row for group in self._groups for row in group]

    def _forward(self, drafts: Sequence[Sequence[int]], **inputs: Any) -> Int[Tensor, "row keep"]:
        """The token said after each row's last one and after each of its draft; what was read grows by it.

        Rows end together: one with a shorter draft has more of what came before it looked at.
        """
        keep = 1 + max(map(len, drafts))
        logits: Tensor = self._state.forward(keep, **inputs).logits[:, -keep:]
        if self._suppressed is None:
            return most_likely(logits)
        is_start: list[bool] = []
        before: list[list[int]] = []
        for row, draft in zip(self._rows(), drafts, strict=True):
            prompt = list(self._prompts[row.prompt])
            fed = [*prompt, *row.said, *draft]
            ahead = [max(0, len(fed) - keep + 1 + i) for i in range(keep)]
            is_start += [n == len(prompt) for n in ahead]
            before += [fed[:n] for n in ahead]
        likely = self._suppressed.likely(logits.flatten(0, 1), torch.tensor(is_start, device=logits.device), before)
        return likely.view(logits.shape[:2])

    def _keep(self, taken_back: list[int]) -> None:
        """Drop rows that have ended once there are enough of them, and take back what was refused."""
        n_now, n_open = len(self._groups[0]), max(sum(row.is_open for row in group) for group in self._groups)
        if n_open == 0:
            return
        kept = list(range(len(taken_back)))
        if n_open <= SHRINK_AT * n_now or (n_open < n_now and any(taken_back)):
            order = [sorted(range(n_now), key=lambda i, g=group: not g[i].is_open)[:n_open] for group in self._groups]  # type: ignore[misc]
            kept = [t * n_now + i for t, chosen in enumerate(order) for i in chosen]
            self._groups = [[group[i] for i in chosen] for group, chosen in zip(self._groups, order, strict=True)]
            self._positions = [self._positions[i] for i in kept]
        back = [taken_back[i] for i in kept]
        if not any(back):
            if len(kept) < len(taken_back):
                chosen_rows = torch.tensor(kept, device=self._mask.device)
                self._state.choose(chosen_rows)
                self._mask = self._mask[chosen_rows]
            return
        device = self._mask.device
        self._mask = select_and_rewind(
            self._state.cache, self._mask, torch.tensor(kept, device=device), torch.tensor(back, device=device)
        )


def n_confirmed(draft: Sequence[int], likely: Sequence[int]) -> int:
    """How many tokens of a draft are what the model would have said."""
    for n, (guess, token) in enumerate(zip(draft, likely, strict=False)):
        if guess != token:
            return n
    return len(draft)
