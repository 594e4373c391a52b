"""Talk to a point of a study without exporting it: the base is loaded once, and points are edits of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import optuna

from saber.config import Config
from saber.lm.architecture.adapter import Adapter
from saber.lm.chat.chat_format import encode_conversations
from saber.lm.editing.apply import applied
from saber.lm.editing.compiled import check_layers
from saber.lm.editing.plan_file import load_plan
from saber.lm.evaluation.measurement import label
from saber.lm.evaluation.protocol import under
from saber.lm.inference.generation.greedy import Decoded, stream_greedy
from saber.metrics import DRIFT, REFUSAL
from saber.study.front.points import find_point, read_points
from saber.study.store.fingerprint import as_stored, differences, stored_identity
from saber.study.store.records import plan_path
from saber.types import EditPlan, FrontierPoint, Prompt, UserError

BASE = "base"


@dataclass
class Side:
    """One of the models that are talked to: its name, its edit, and what was said so far, the user's words first."""

    name: str
    plan: EditPlan
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reply:
    """What a side has thought and answered so far, and once it is done its label and the marker that fired."""

    side: str
    text: str
    thought: str = ""
    label: str | None = None
    marker: str | None = None


class Chat:
    """One or two sides on one loaded model; what the user says goes to all of them, each with its own history.

    ``adapter`` is spoken to as the study speaks to it (`as_studied`).
    """

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
        self.sides[0] = self._side(name, self.sides[0].said)

    def compare(self, name: str | None) -> None:
        """Put another point, or the base, beside it, or nothing; it is told what the user said so far.

        Raises:
            UserError: there is no such point.
        """
        beside = [] if name is None else [self._side(name, self.sides[0].said)]
        self.sides[1:] = beside

    def forget(self) -> None:
        """Begin a new conversation."""
        for side in self.sides:
            side.said.clear()

    def say(self, words: str, max_new_tokens: int) -> Iterator[list[Reply]]:
        """Ask every side, and give their replies as they grow; the last time with their labels.

        Answers are cut at ``max_new_tokens``, thoughts where the study cuts them. Only answers are kept for what is
        said later. A reply that is broken off, by an error or by the user, is forgotten with its question.
        """
        chats = [[*side.said, words] for side in self.sides]
        rows = encode_conversations(self.adapter.tokenizer, self.adapter.chat, self.adapter.system_prompt, chats)
        replies: list[Decoded] = []
        with applied(self.adapter, [side.plan for side in self.sides]):
            for replies in stream_greedy(
                self.adapter,
                rows,
                max_new_tokens=max_new_tokens,
                max_thinking_tokens=self._profile.max_thinking_tokens,
            ):
                seen = self._labelled(words, replies)
                yield [replace(reply, label=None, marker=None) for reply in seen]
        whole = self._labelled(words, replies)
        for side, reply in zip(self.sides, whole, strict=True):
            side.said += [words, reply.text]
        yield whole

    def _side(self, name: str, said: Sequence[str] = ()) -> Side:
        if name == BASE:
            return Side(BASE, EditPlan(()), list(said))
        point = find_point(self.points, name)
        plan = load_plan(plan_path(self._folder, point.plan_digest), point.plan_digest)
        try:
            check_layers(self.adapter, plan)
        except ValueError as error:
            raise UserError(f"{error}: the study was of another model; set model.path") from error
        return Side(point.name, plan, list(said))

    def _labelled(self, words: str, replies: Sequence[Decoded]) -> list[Reply]:
        """Replies in thought and answer, with the study's labels; an answer begins as `model.prefill` made it begin."""
        asked = [Prompt(words, "harmful")] * len(replies)
        begun = self.adapter.chat.prefill
        return [
            Reply(side.name, begun + response.text, response.thought or "", response.label, response.marker)
            for side, response in zip(self.sides, label(self.adapter, asked, replies, self._profile), strict=True)
        ]


def told_of_format(study: optuna.Study, adapter: Adapter) -> str:
    """How this chat is not as the study was measured, or holds no conversation, in a line; nothing where neither is."""
    measured, here = stored_identity(study).get("chat", {}), as_stored(adapter.chat.described)
    if measured != here:
        changes = "; ".join(differences(measured, here, "chat"))
        return f"the study was measured otherwise than is talked here: {changes}"
    if adapter.chat.prompt_form is not None:
        return "a plain prompt form holds no conversation: every question stands alone"
    return ""


def point_line(point: FrontierPoint) -> str:
    """A point as the list of them shows it."""
    marks = f" ({', '.join(point.marks)})" if point.marks else ""
    return f"{point.name}{marks}: refusal {point.tune[REFUSAL]:.1%}, KLD {point.tune[DRIFT]:.4f} nats, tune"
