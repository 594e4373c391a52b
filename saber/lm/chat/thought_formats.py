"""The forms that chat models think in before they answer, one row each: how a thought opens, ends, and is skipped.

Sources are the chat templates and model cards of the families named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class ThoughtFormat:
    """One way of marking a thought.

    A reply that begins with one of ``opens`` thinks until one of ``closes``; what follows that is the answer.
    ``closed`` is a thought with nothing in it, as the family's own templates or its users write it: at the end of the
    prompt it makes the model answer at once. ``switches`` are the arguments by which its templates turn thinking off.
    """

    name: str
    opens: tuple[str, ...]
    closes: tuple[str, ...]
    closed: str
    switches: tuple[str, ...] = ()

    @cached_property
    def _opening(self) -> re.Pattern[str]:
        return re.compile(r"\s*(?:" + "|".join(_spaced_freely(mark) for mark in self.opens) + ")")

    @cached_property
    def _closing(self) -> re.Pattern[str]:
        return re.compile("|".join(_spaced_freely(mark) for mark in self.closes))

    def is_opened_by(self, reply: str) -> bool:
        """Whether a reply, special tokens included, begins with a thought, not with its end."""
        return self._opening.match(reply) is not None and self._closing.match(reply.lstrip()) is None

    def is_ended_in(self, text: str) -> bool:
        """Whether a thought ends somewhere in a text."""
        return self._closing.search(text) is not None

    def without_marks(self, thought: str) -> str:
        """A thought's own words, without what opens and ends it."""
        return self._opening.sub("", self._closing.sub("", thought), count=1).strip()

    def opened_at_the_end(self, rendered: str) -> int | None:
        """Where a rendered prompt's last thought opens, if the reply begins inside it; ``None`` if it does not."""
        bare = rendered.rstrip()
        starts = [len(bare) - len(mark) for mark in self.opens if bare.endswith(mark)]
        return min(starts, default=None)


def _spaced_freely(mark: str) -> str:
    """A pattern for a mark between whose tokens a decoder may have put white space."""
    pieces = re.findall(r"<[^<>]*>|\[[^\[\]]*\]|[^<>\[\]\s]+", mark)
    return r"\s*".join(re.escape(piece) for piece in pieces)


THOUGHT_FORMATS: tuple[ThoughtFormat, ...] = (
    # Qwen 3 and 3.5, DeepSeek R1 and V3.1, GLM 4.5, SmolLM3, Phi-4-reasoning and most others.
    ThoughtFormat(
        "think",
        ("<think>",),
        ("</think>",),
        "<think>\n\n</think>\n\n",
        ("enable_thinking", "thinking", "enable_reasoning"),
    ),
    # gpt-oss (harmony): channels; what is not final is not shown to users. No template of it has a switch.
    ThoughtFormat(
        "harmony",
        ("<|channel|>analysis<|message|>", "<|channel|>commentary<|message|>", "<|channel|>"),
        ("<|end|><|start|>assistant<|channel|>final<|message|>", "<|channel|>final<|message|>"),
        "<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    # Gemma 4: its larger models open an empty channel even where thinking is off.
    ThoughtFormat(
        "channel", ("<|channel>thought",), ("<channel|>",), "<|channel>thought\n<channel|>", ("enable_thinking",)
    ),
    # Magistral and Ministral reasoning models.
    ThoughtFormat("[THINK]", ("[THINK]",), ("[/THINK]",), "[THINK][/THINK]", ("reasoning_effort",)),
    # EXAONE Deep.
    ThoughtFormat("thought", ("<thought>",), ("</thought>",), "<thought>\n\n</thought>\n\n", ("enable_thinking",)),
    # Seed-OSS.
    ThoughtFormat("seed", ("<seed:think>",), ("</seed:think>",), "<seed:think>\n</seed:think>\n"),
    # Kimi-VL.
    ThoughtFormat("kimi", ("◁think▷",), ("◁/think▷",), "◁think▷◁/think▷"),
)
# What a switch is set to for thinking to be off, and on.
SWITCH_OFF: dict[str, bool | str] = {
    "enable_thinking": False,
    "thinking": False,
    "enable_reasoning": False,
    "reasoning_effort": "none",
}
SWITCH_ON: dict[str, bool | str] = {
    "enable_thinking": True,
    "thinking": True,
    "enable_reasoning": True,
    "reasoning_effort": "high",
}


def format_named(name: str) -> ThoughtFormat:
    """The row of that name.

    Raises:
        KeyError: there is none.
    """
    return {row.name: row for row in THOUGHT_FORMATS}[name]


def format_of(replies: Iterable[str]) -> ThoughtFormat | None:
    """The first form that one of the replies, special tokens included, opens a thought in."""
    texts = list(replies)
    return next((row for row in THOUGHT_FORMATS if any(row.is_opened_by(text) for text in texts)), None)
