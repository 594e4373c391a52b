"""What a template does with a sample: the shape of turns that it takes, and the arguments that it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jinja2.exceptions import TemplateError

from saber.lm.chat.chat_format import ChatFormat, render
from saber.types import UserError
from saber.vocabulary import shown

# Families whose template refuses a system turn, while their documentation has it put before the first user turn:
# ai.google.dev/gemma/docs/core/prompt-structure ("System instructions"), and mistral-common's tokenizer v1.
MERGES_SYSTEM = frozenset({"gemma", "gemma2", "mistral", "mixtral"})
REFUSES = (TemplateError, TypeError, KeyError, ValueError)  # what a template raises on content that is not its own
SAMPLE = "Which of these words comes first?"  # looked for in what a template renders


def shaped(tokenizer: Any, model_type: str, chat: ChatFormat, system: str | None) -> ChatFormat:
    """The same format with content and system turn in the shape that the template takes, found by trying it.

    Raises:
        UserError: the template drops the prompt or the system prompt, or refuses one in a family that has no other
            place for it.
    """
    if chat.prompt_form is not None or not tokenizer.chat_template:
        return chat
    plain = replace(chat, in_parts=False, merges_system=False)
    shapes = [plain, replace(plain, in_parts=True)]
    answering = next((shape for shape in shapes if SAMPLE in _tried(tokenizer, shape, None)), None)
    if answering is None:
        raise UserError(
            "expected a chat template that shows the prompt, found one that drops it, as text and as typed parts:"
            f" {_complaint(tokenizer, plain, None)}; mend the template, or set model.template=plain and a"
            " model.prompt_form"
        )
    if not system or system.strip() in _tried(tokenizer, answering, system):
        return answering
    if model_type in MERGES_SYSTEM:
        return replace(answering, merges_system=True)
    raise UserError(
        f"expected a chat template that takes a system prompt, found that this one"
        f" {_complaint(tokenizer, answering, system)}; leave model.system_prompt and evaluate.system_prompt empty ('')"
    )


def reads_argument(tokenizer: Any, chat: ChatFormat, system: str | None, name: str, value: Any) -> bool:
    """Whether the template renders anything otherwise for an argument: at this value or at another one."""
    without = replace(chat, arguments={key: had for key, had in chat.arguments.items() if key != name}, suffix="")
    plain = _tried(tokenizer, without, system)
    others = (value, not value, "", "none") if isinstance(value, bool) else (value, f"{value}.", True, False)
    return any(
        _tried(tokenizer, replace(without, arguments={**without.arguments, name: other}), system) != plain
        for other in others
    )


def _tried(tokenizer: Any, chat: ChatFormat, system: str | None) -> str:
    """What the template makes of a sample, nothing where it refuses."""
    try:
        return render(tokenizer, chat, system, [SAMPLE])[0]
    except (UserError, *REFUSES):
        return ""


def _complaint(tokenizer: Any, chat: ChatFormat, system: str | None) -> str:
    """Why a sample is not rendered, in the template's words where it has some."""
    try:
        render(tokenizer, chat, system, [SAMPLE])
    except UserError as error:
        return f"refuses it ({shown(str(error.__cause__ or error))})"
    except REFUSES as error:
        return f"refuses it ({shown(str(error))})"
    return "leaves it out"
