"""Does a model think before it answers, and what is done about it: found from its template and its first words.

The modes are those of `Thinking`; ``auto`` takes the template's switch where that works, and else a closed thought at
the end of the prompt, and leaves a model that does not think as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from saber.lm.architecture.adapter import Adapter
from saber.lm.chat.chat_format import ChatFormat, Thinking, ThinkingMode, encode, render
from saber.lm.chat.template_trial import reads_argument
from saber.lm.chat.thought_formats import SWITCH_OFF, SWITCH_ON, THOUGHT_FORMATS, ThoughtFormat, format_named, format_of
from saber.lm.inference.generation.greedy import greedy
from saber.lm.inference.thought import OPENING_TOKENS
from saber.types import UserError

Asked = Literal["auto", "off", "closed", "on"]
N_REPLIES = 8  # whose first tokens are looked at
# What a model is asked where no prompts of a study are at hand.
QUESTIONS = (
    "What is the capital of France?",
    "Name three colors.",
    "How do I boil an egg?",
    "Write one sentence about the sea.",
)


@dataclass(frozen=True)
class Seen:
    """What a format was seen to do: the form that replies think in, and how many of how many do."""

    format: ThoughtFormat | None
    n_thinking: int
    n: int
    begins_inside: bool


def with_thinking(adapter: Adapter, asked: Asked, texts: Sequence[str] = QUESTIONS) -> Adapter:
    """The same model with what is done about its thinking, found by looking at its replies to some of ``texts``.

    Raises:
        UserError: what is asked for cannot be done with this model; what can is named.
    """
    if adapter.chat.prompt_form is not None:
        return adapter
    few = texts[:N_REPLIES]
    plain = replace(adapter, chat=replace(adapter.chat, thinking=None))
    seen = look(plain, few)
    if asked == "auto":
        return _automatic(plain, seen, few)
    mode: ThinkingMode = asked
    form = seen.format or _form_named_by_template(adapter)
    if form is None:
        raise UserError(
            f"model.thinking={mode}: expected a model that thinks in a form that is known"
            f" ({', '.join(row.name for row in THOUGHT_FORMATS)}), found that none of {seen.n} replies opens a thought"
            " and that its template names none; leave model.thinking=auto"
        )
    changed = {"off": _off, "closed": _closed, "on": _on}[mode](plain, form)
    if changed is None:
        raise UserError(
            "model.thinking=off: expected a chat template with a switch"
            f" ({', '.join(form.switches) or 'its form has none'}), found none that changes what it renders; use"
            " model.thinking=closed"
        )
    again = look(changed, few)
    if mode != "on" and again.n_thinking:
        raise UserError(
            f"model.thinking={mode}: expected replies without a thought, found that {again.n_thinking} of {again.n}"
            f" open one all the same ({form.name}); use model.thinking={'closed or ' if mode == 'off' else ''}on"
        )
    return _inside(changed, again) if mode == "on" else changed


def look(adapter: Adapter, texts: Sequence[str]) -> Seen:
    """Whether the prompt opens a thought itself, and which form some replies open one in."""
    rendered = render(adapter.tokenizer, adapter.chat, adapter.system_prompt, texts)
    for form in THOUGHT_FORMATS:
        if all(form.opened_at_the_end(text) is not None for text in rendered):
            return Seen(form, len(texts), len(texts), begins_inside=True)
    rows = encode(adapter.tokenizer, adapter.chat, adapter.system_prompt, texts)
    (replies,) = greedy(adapter, rows, max_new_tokens=OPENING_TOKENS, batch_size=len(rows))
    said = [adapter.tokenizer.decode(list(reply.whole), skip_special_tokens=False) for reply in replies]
    form_seen = format_of(said)
    return Seen(
        form_seen,
        sum(form_seen.is_opened_by(text) for text in said) if form_seen else 0,
        len(said),
        begins_inside=False,
    )


def spoken(adapter: Adapter, asked: Asked) -> str:
    """What is done about thinking, in a line; nothing where nothing is."""
    thinking = adapter.chat.thinking
    if thinking is None:
        return ""
    done = {
        "off": f"the template's switch is set ({_arguments(adapter.chat)})",
        "closed": f"every prompt ends with {thinking.closing!r}",
        "on": "it thinks up to evaluate.max_thinking_tokens, and its answer is what follows",
    }[thinking.mode]
    return f"the model thinks before it answers ({thinking.format.name}); model.thinking={asked}: {done}"


def stored(chat: ChatFormat) -> dict[str, Any] | None:
    """What was found, as JSON keeps it."""
    if chat.thinking is None:
        return None
    thinking = chat.thinking
    return {
        "format": thinking.format.name,
        "mode": thinking.mode,
        "closing": thinking.closing,
        "begins_inside": thinking.begins_inside,
        "arguments": dict(chat.arguments),
    }


def restored(adapter: Adapter, before: Mapping[str, Any] | None) -> Adapter:
    """The same model with what was found before."""
    if before is None:
        return adapter
    assert before["mode"] in get_args(ThinkingMode)
    thinking = Thinking(format_named(before["format"]), before["mode"], before["closing"], before["begins_inside"])
    return replace(adapter, chat=replace(adapter.chat, thinking=thinking, arguments=before["arguments"]))


def _automatic(plain: Adapter, seen: Seen, texts: Sequence[str]) -> Adapter:
    """The switch where it works, else a closed thought where that works; untouched where nothing thinks.

    Where `model.template` turns thinking on, it is on.

    Raises:
        UserError: neither keeps it from thinking.
    """
    if seen.format is None:
        return plain
    if any(plain.chat.arguments.get(name) == SWITCH_ON[name] for name in seen.format.switches):
        return _inside(_on(plain, seen.format), seen)
    for make in (_off, _closed):
        changed = make(plain, seen.format)
        if changed is not None and not look(changed, texts).n_thinking:
            return changed
    raise UserError(
        f"expected that the model answers at once with its thought closed, found that {seen.n_thinking} of {seen.n}"
        f" replies open one all the same ({seen.format.name}); set model.thinking=on"
    )


def _off(plain: Adapter, form: ThoughtFormat) -> Adapter | None:
    """The template's own switch, if it has one that changes what is rendered."""
    switch = _switch(plain, form, SWITCH_OFF)
    if switch is None:
        return None
    chat = replace(plain.chat, arguments={**plain.chat.arguments, **switch}, thinking=Thinking(form, "off"))
    return replace(plain, chat=chat)


def _closed(plain: Adapter, form: ThoughtFormat) -> Adapter:
    """A closed thought at the end of every prompt."""
    return replace(plain, chat=replace(plain.chat, thinking=Thinking(form, "closed", closing=form.closed)))


def _on(plain: Adapter, form: ThoughtFormat) -> Adapter:
    """Thinking, turned on where the template has a switch for it."""
    switch = _switch(plain, form, SWITCH_ON) or {}
    chat = replace(plain.chat, arguments={**plain.chat.arguments, **switch}, thinking=Thinking(form, "on"))
    return replace(plain, chat=chat)


def _inside(adapter: Adapter, seen: Seen) -> Adapter:
    """The same with whether its prompts open the thought themselves."""
    assert adapter.chat.thinking is not None
    thinking = replace(adapter.chat.thinking, begins_inside=seen.begins_inside)
    return replace(adapter, chat=replace(adapter.chat, thinking=thinking))


def _switch(adapter: Adapter, form: ThoughtFormat, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first of the form's switches that the template reads, with its value; none where the user has set one.

    Raises:
        UserError: the user has set it the other way.
    """
    for name in form.switches:
        if reads_argument(adapter.tokenizer, adapter.chat, adapter.system_prompt, name, values[name]):
            given = adapter.chat.arguments.get(name, values[name])
            if given != values[name]:
                raise UserError(
                    f"expected model.thinking and model.template to agree, found model.template.{name}={given}: leave"
                    " one of them out"
                )
            return {name: values[name]}
    return None


def _form_named_by_template(adapter: Adapter) -> ThoughtFormat | None:
    """The form whose marks the template writes, where no reply shows one: such as a model whose default is off."""
    template = str(adapter.tokenizer.chat_template)
    return next((row for row in THOUGHT_FORMATS if any(mark in template for mark in row.opens)), None)


def _arguments(chat: ChatFormat) -> str:
    return ", ".join(f"{name}={value}" for name, value in chat.arguments.items())
