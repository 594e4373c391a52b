"""How the model was spoken to, in words: what was measured is that, thinking or not."""

from __future__ import annotations

from collections.abc import Mapping

from saber.metrics import THOUGHT, UNFINISHED_THOUGHT
from saber.publish.analysis.settings import setting
from saber.publish.text.wording import counted, listed, metric_text
from saber.types import Frontier


def chat_text(frontier: Frontier) -> str:
    """What is not as the model's template has it by itself, in a phrase; nothing for most models."""
    chat = frontier.settings.get("chat")
    if not isinstance(chat, Mapping):
        return ""
    said: list[str] = []
    if chat.get("prompt_form"):
        said.append(f"the plain form {chat['prompt_form']!r} in place of a chat template")
    if thinking := chat.get("thinking"):
        said.append(_thinking_text(frontier, thinking))
    if chat.get("template"):
        named = ", ".join(f"{name}={value}" for name, value in chat["template"].items())
        said.append(f"template arguments {named}")
    if chat.get("prefill"):
        said.append(f"every reply begun with {chat['prefill']!r}")
    if chat.get("suffix"):
        said.append(f"every prompt ended with {chat['suffix']!r}, which all of the base's replies begin with")
    return listed(said)


def _thinking_text(frontier: Frontier, thinking: Mapping[str, str]) -> str:
    limit = setting(frontier, None, "evaluate.max_thinking_tokens")
    return {
        "off": "thinking turned off by the template's switch",
        "closed": "a thought with nothing in it at the end of every prompt",
        "on": f"thinking of up to {limit} tokens, labels by the answer that follows",
    }[thinking["mode"]]


def thoughts_text(frontier: Frontier) -> str:
    """How many replies think and how many thoughts do not end, of the base and of the front's points."""
    base = frontier.base_tune
    if THOUGHT not in base.estimates:
        return ""
    text = (
        f"Measured with {chat_text(frontier)}. Of the base's replies {metric_text(base, THOUGHT)} think first,"
        f" and {metric_text(base, UNFINISHED_THOUGHT)} do not end it within the limit; such a reply counts as"
        " truncated, whatever its thought says."
    )
    worse = [
        point.name
        for point in frontier.front
        if point.tune.estimates.get(UNFINISHED_THOUGHT)
        and point.tune[UNFINISHED_THOUGHT] > base.estimates[UNFINISHED_THOUGHT].high
    ]
    if worse:
        text += f" More thoughts stay open at {counted(len(worse), 'front point')} ({listed(worse)})."
    return text
