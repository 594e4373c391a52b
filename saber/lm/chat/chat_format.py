"""The chat format: how a prompt is put before the model, as its own template has it, rendered and tokenised once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from jinja2.exceptions import TemplateError

from saber.lm.chat.thought_formats import ThoughtFormat
from saber.types import UserError

ThinkingMode = Literal["off", "closed", "on"]
CLOCK = re.compile(r"""strftime_now\(\s*(?P<quote>["'])(?P<form>[^"']*)(?P=quote)\s*\)""")  # writes today's date
TODAY = datetime(2026, 1, 1)  # the date they are told: a study goes on another day with the same prompts
MERGED = "{system}\n\n{user}"  # as Gemma 3's own template and mistral-common write it
Conversation = Sequence[str]  # what was said: by the user first and last, by the assistant between
_Content = str | list[dict[str, str]]


@dataclass(frozen=True)
class Thinking:
    """What is done about a model that thinks before it answers.

    ``off``: the template's own switch; ``closed``: the prompt ends with ``closing``, a thought with nothing in it;
    ``on``: it thinks, and what follows is its answer. ``begins_inside`` says that the prompt itself opens the thought.
    """

    format: ThoughtFormat
    mode: ThinkingMode
    closing: str = ""
    begins_inside: bool = False


@dataclass(frozen=True, eq=False)
class ChatFormat:
    """How prompts are rendered.

    ``arguments`` are those of the template. ``prompt_form`` stands in for a template, with ``{prompt}`` where the
    prompt goes. ``prefill`` is how every reply is made to begin, continued by the template from an assistant turn;
    ``suffix`` is text behind the generation prompt. ``in_parts`` gives content as a list of typed parts, and
    ``merges_system`` puts the system prompt before the user's first words.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    prompt_form: str | None = None
    prefill: str = ""
    suffix: str = ""
    in_parts: bool = False
    merges_system: bool = False
    thinking: Thinking | None = None

    @property
    def described(self) -> dict[str, Any]:
        """What is not as the template has it by itself, for digests and cards: nothing for most models."""
        about: dict[str, Any] = {}
        if self.arguments:
            about["template"] = dict(self.arguments)
        for name in ("prompt_form", "prefill", "suffix"):
            if getattr(self, name):
                about[name] = getattr(self, name)
        if self.thinking is not None:
            about["thinking"] = {"format": self.thinking.format.name, "mode": self.thinking.mode}
        return about


def encode(tokenizer: Any, chat: ChatFormat, system: str | None, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each prompt, ready for the model to go on from.

    Raises:
        UserError: the tokenizer has no chat template, or its template renders no such conversation.
    """
    return encode_conversations(tokenizer, chat, system, [[text] for text in texts])


def encode_conversations(
    tokenizer: Any, chat: ChatFormat, system: str | None, conversations: Sequence[Conversation]
) -> list[list[int]]:
    """Token ids of each conversation, ready for the model's next turn.

    Raises:
        UserError: as of `encode`.
    """
    if not conversations:
        return []
    if _is_as_rendered(chat):
        turns = [_messages(chat, system, said) for said in conversations]
        rows = _apply(tokenizer, chat, turns, tokenize=True, return_dict=True)["input_ids"]
    else:
        rendered = _rendered(tokenizer, chat, system, conversations)
        rows = tokenizer(rendered, add_special_tokens=chat.prompt_form is not None)["input_ids"]
    return [list(ids) for ids in rows]


def render(tokenizer: Any, chat: ChatFormat, system: str | None, texts: Sequence[str]) -> list[str]:
    """Each prompt as the text that is tokenised, special tokens included.

    Raises:
        UserError: as of `encode`.
    """
    return _rendered(tokenizer, chat, system, [[text] for text in texts])


def _rendered(tokenizer: Any, chat: ChatFormat, system: str | None, conversations: Sequence[Conversation]) -> list[str]:
    """Each conversation as text; a plain form holds what was said last and nothing before it."""
    if not conversations:
        return []
    if chat.prompt_form is not None:
        before = f"{system}\n\n" if system else ""
        return [before + chat.prompt_form.replace("{prompt}", said[-1]) + chat.prefill for said in conversations]
    turns = [_messages(chat, system, said) for said in conversations]
    rendered: list[str] = _apply(tokenizer, chat, turns, tokenize=False)
    return [_ended(chat, text) for text in rendered]


def writes_the_date(tokenizer: Any) -> bool:
    """Whether the template asks for today's date; it is told the same one every day."""
    return CLOCK.search(str(tokenizer.chat_template)) is not None


def _on_the_day(call: re.Match[str]) -> str:
    return f"{call['quote']}{TODAY.strftime(call['form'])}{call['quote']}"


def _is_closed(chat: ChatFormat) -> bool:
    return chat.thinking is not None and chat.thinking.mode == "closed"


def _is_as_rendered(chat: ChatFormat) -> bool:
    """Whether there is a template and nothing is put behind what it renders."""
    return chat.prompt_form is None and not chat.suffix and not _is_closed(chat)


def _is_continued(chat: ChatFormat) -> bool:
    """Whether the template goes on from an assistant turn: one behind a closed thought it could not place."""
    return bool(chat.prefill) and not _is_closed(chat)


def _messages(chat: ChatFormat, system: str | None, said: Conversation) -> list[dict[str, _Content]]:
    """The turns: a system turn where there is one, what was said, and how the reply begins."""
    system = system if system and system.strip() else None
    first, *later = said
    if system is not None and chat.merges_system:
        first, system = MERGED.format(system=system, user=first), None
    spoken = [(("user", "assistant")[i % 2], text) for i, text in enumerate([first, *later])]
    turns = [("system", system), *spoken, ("assistant", chat.prefill if _is_continued(chat) else None)]
    return [{"role": role, "content": _content(chat, text)} for role, text in turns if text is not None]


def _content(chat: ChatFormat, text: str) -> _Content:
    return [{"type": "text", "text": text}] if chat.in_parts else text


def _apply(tokenizer: Any, chat: ChatFormat, conversations: Sequence[Any], **how: Any) -> Any:
    """What the tokenizer's template makes of conversations.

    Raises:
        UserError: there is no template, or it refuses.
    """
    if not tokenizer.chat_template:
        raise UserError(
            "expected a chat model, found a tokenizer without a chat template: name an -it model, or set"
            " model.template=plain and a model.prompt_form to study a base model"
        )
    arguments = dict(chat.arguments)
    if writes_the_date(tokenizer):
        arguments["chat_template"] = CLOCK.sub(_on_the_day, tokenizer.get_chat_template())
    ending = {"continue_final_message": True} if _is_continued(chat) else {"add_generation_prompt": True}
    try:
        return tokenizer.apply_chat_template(conversations, **ending, **how, **arguments)
    except TemplateError as error:
        raise UserError(f"expected the chat template to render the prompts, found that it says: {error}") from error
    except ValueError as error:
        if not chat.prefill:
            raise
        raise UserError(
            f"expected a chat template that can continue model.prefill, found: {error}; leave model.prefill out"
        ) from error


def _ended(chat: ChatFormat, rendered: str) -> str:
    """A rendered prompt with what is put behind it; a thought that it opens itself is closed, not opened twice."""
    if chat.thinking is not None and chat.thinking.mode == "closed":
        start = chat.thinking.format.opened_at_the_end(rendered)
        rendered = rendered if start is None else rendered[:start]
        is_closed = rendered.rstrip().endswith(chat.thinking.closing.rstrip())
        rendered += ("" if is_closed else chat.thinking.closing) + chat.prefill
    return rendered + chat.suffix
