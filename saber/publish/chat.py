"""Talk to a point of a study without exporting it: the base is loaded once, and points are edits of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import optuna

from saber.config import Config
from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied
from saber.lm.editing.compiled import check_layers
from saber.lm.editing.plan_file import load_plan
from saber.lm.evaluation.protocol import label_text, under
from saber.lm.inference.generation.greedy import stream_greedy
from saber.metrics import DRIFT, REFUSAL
from saber.study.front.points import find_point, read_points
from saber.study.store.records import plan_path
from saber.types import EditPlan, FrontierPoint, UserError

BASE = "base"


@dataclass
class Side:
    """One of the models that are talked to: its name, its edit, and what was said so far."""

    name: str
    plan: EditPlan
    turns: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Reply:
    """What a side has said so far, and once it is done its label and the marker that fired."""

    side: str
    text: str
    label: str | None = None
    marker: str | None = None


class Chat:
    """One or two sides on one loaded model; what the user says goes to all of them, each with its own history."""

    def __init__(self, study: optuna.Study, config: Config, adapter: Adapter, folder: Path) -> None:
        self.points = read_points(study, config)
        self.adapter = under(adapter, config.evaluate)
        self._folder, self._profile = folder, config.evaluate
        self.sides = [self._side(config.point)]
        if config.against is not None:
            self.sides.append(self._side(config.against))

    def use(self, name: str) -> None:
        """Talk to another point from now on; what was said so far stays.

        Raises:
            UserError: there is no such point.
        """
        self.sides[0] = self._side(name, self.sides[0].turns)

    def compare(self, name: str | None) -> None:
        """Put another point, or the base, beside it, or nothing; it is told what the user said so far.

        Raises:
            UserError: there is no such point.
        """
        beside = [] if name is None else [self._side(name, [dict(turn) for turn in self.sides[0].turns])]
        self.sides[1:] = beside

    def forget(self) -> None:
        """Begin a new conversation."""
        for side in self.sides:
            side.turns.clear()

    def say(self, words: str, max_new_tokens: int) -> Iterator[list[Reply]]:
        """Ask every side, and give their replies as they grow; the last time with their labels.

        A reply that is broken off, by an error or by the user, is forgotten with its question.
        """
        asked = {"role": "user", "content": words}
        system = [{"role": "system", "content": self.adapter.system_prompt}] if self.adapter.system_prompt else []
        chats = [[*system, *side.turns, asked] for side in self.sides]
        tokenizer = self.adapter.tokenizer
        encoded = tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, tokenize=True, return_dict=True, **self.adapter.chat.arguments
        )
        said: list[list[int]] = [[] for _ in self.sides]
        ended = [False] * len(self.sides)
        with applied(self.adapter, [side.plan for side in self.sides]):
            for tokens in stream_greedy(self.adapter, encoded["input_ids"], max_new_tokens):
                for mine, token in zip(said, tokens, strict=True):
                    if token is not None:
                        mine.append(token)
                ended = [token is None for token in tokens]
                yield [Reply(side.name, self._text(mine)) for side, mine in zip(self.sides, said, strict=True)]
        finished = [end or len(mine) < max_new_tokens for end, mine in zip(ended, said, strict=True)]
        texts = [self._text(mine) for mine in said]
        for side, text in zip(self.sides, texts, strict=True):
            side.turns += [asked, {"role": "assistant", "content": text}]
        yield [
            self._labelled(s.name, t, words, finished=f) for s, t, f in zip(self.sides, texts, finished, strict=True)
        ]

    def _side(self, name: str, turns: Sequence[dict[str, str]] = ()) -> Side:
        if name == BASE:
            return Side(BASE, EditPlan(()), list(turns))
        point = find_point(self.points, name)
        plan = load_plan(plan_path(self._folder, point.plan_digest), point.plan_digest)
        try:
            check_layers(self.adapter, plan)
        except ValueError as error:
            raise UserError(f"{error}: the study was of another model; set model.path") from error
        return Side(point.name, plan, list(turns))

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self.adapter.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def _labelled(self, name: str, text: str, words: str, *, finished: bool) -> Reply:
        return Reply(name, text, *label_text(text, words, self._profile, finished=finished))


def point_line(point: FrontierPoint) -> str:
    """A point as the list of them shows it."""
    marks = f" ({', '.join(point.marks)})" if point.marks else ""
    return f"{point.name}{marks}: refusal {point.tune[REFUSAL]:.1%}, KLD {point.tune[DRIFT]:.4f} nats, tune"
