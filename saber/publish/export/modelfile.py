"""Ollama's Modelfile for an adapter: what it stands on, the adapter, and the chat template in Ollama's own language.

A template for transformers is Jinja and one for Ollama is Go's, so it is not translated but observed: what stands
before and after the words of each role is read off rendered chats, and the pieces are kept only where they give every
chat again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from saber.lm.architecture.adapter import Adapter

Chat = Sequence[tuple[str, str]]  # (role, words)
WORDS = ("Saber probe one", "Saber probe two", "Saber probe three", "Saber probe four")


@dataclass(frozen=True)
class ChatPieces:
    """What a chat template puts around the words of each role, at the start without a system turn, and at the end."""

    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str] | None
    start: str
    reply: str

    def render(self, chat: Chat) -> str:
        """A chat as the pieces give it, with the beginning of a reply."""
        text = "" if chat[0][0] == "system" else self.start
        around = {"user": self.user, "assistant": self.assistant, "system": self.system or ("", "")}
        return text + "".join(words.join(around[role]) for role, words in chat) + self.reply

    def in_go(self) -> str:
        """The same as a template of Ollama's."""
        head = self.start
        if self.system is not None:
            head = f"{{{{ if .System }}}}{'{{ .System }}'.join(self.system)}{{{{ else }}}}{self.start}{{{{ end }}}}"
        user, assistant = ("{{ .Content }}".join(around) for around in (self.user, self.assistant))
        turns = f'{{{{ if eq .Role "user" }}}}{user}{{{{ else if eq .Role "assistant" }}}}{assistant}{{{{ end }}}}'
        return f"{head}{{{{ range .Messages }}}}{turns}{{{{ end }}}}{self.reply}"


def modelfile(adapter: Adapter, adapter_file: str, base: str | None) -> str:
    """A Modelfile that stands on a GGUF of the unedited model, or on a model that Ollama has."""
    lines = (
        [f"FROM {base}"]
        if base
        else ["# a GGUF file of the unedited base model, or a model that Ollama has", "FROM ./base.gguf"]
    )
    lines.append(f"ADAPTER ./{adapter_file}")
    pieces = chat_pieces(adapter.tokenizer)
    if pieces is None:
        lines.append("# the chat template is left to the base: it is no plain sequence of turns")
    else:
        lines.append(f'TEMPLATE """{pieces.in_go()}"""')
    end = adapter.tokenizer.eos_token
    if end:
        lines.append(f'PARAMETER stop "{end}"')
    if adapter.system_prompt:
        lines.append(f'SYSTEM """{adapter.system_prompt}"""')
    return "\n".join(lines) + "\n"


def chat_pieces(tokenizer: Any) -> ChatPieces | None:
    """The pieces of a tokenizer's chat template, ``None`` where it is no plain sequence of turns."""
    first, second, third, fourth = WORDS

    def rendered(chat: Chat) -> str | None:
        return _rendered(tokenizer, chat)

    plain, longer = rendered([("user", first)]), rendered([("user", first), ("assistant", second), ("user", third)])
    if plain is None or longer is None:
        return None
    opening, tail = _around(plain, [first])
    _, after_user, after_assistant, _ = _around(longer, [first, second, third])
    user_end = _common_start(tail, after_user)
    systemic = rendered([("system", fourth), ("user", first), ("assistant", second), ("user", third)])
    has_system = systemic is not None and fourth in systemic
    system_start, after_system = _around(systemic or "", [fourth, first])[:2] if has_system else ("", "")
    user_start = _common_end(after_assistant, opening)
    user_start = _common_end(user_start, after_system) if has_system else user_start
    pieces = ChatPieces(
        user=(user_start, user_end),
        assistant=(after_user.removeprefix(user_end), after_assistant.removesuffix(user_start)),
        system=(system_start, after_system.removesuffix(user_start)) if has_system else None,
        start=opening.removesuffix(user_start),
        reply=tail.removeprefix(user_end),
    )
    return pieces if _gives_again(pieces, rendered) else None


def _rendered(tokenizer: Any, chat: Chat) -> str | None:
    """A chat as the template gives it, without the first token, which every runtime puts there itself."""
    messages = [{"role": role, "content": words} for role, words in chat]
    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except (TemplateError, ValueError, TypeError, LookupError):
        return None
    return text.removeprefix(tokenizer.bos_token or "")


def _around(text: str, words: Sequence[str]) -> list[str]:
    """What stands before, between and after these words, in their order."""
    rest, pieces = text, []
    for word in words:
        before, _, rest = rest.partition(word)
        pieces.append(before)
    return [*pieces, rest]


def _common_start(first: str, second: str) -> str:
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return "".join(sign for sign, _ in same)


def _common_end(first: str, second: str) -> str:
    return _common_start(first[::-1], second[::-1])[::-1]


def _gives_again(pieces: ChatPieces, rendered: Callable[[Chat], str | None]) -> bool:
    """Whether the pieces give chats of one, three and five turns as the template does, with a system turn if it can."""
    turns = [
        (role, words) for role, words in zip(("user", "assistant", "user", "assistant", "user"), "abcde", strict=True)
    ]
    chats: list[list[tuple[str, str]]] = [turns[:1], turns[:3], turns]
    if pieces.system is not None:
        chats += [[("system", "s"), *chat] for chat in chats]
    text = pieces.in_go()
    return '"""' not in text and all(pieces.render(chat) == rendered(chat) for chat in chats)
