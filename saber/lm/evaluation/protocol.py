"""The protocol: how numbers are measured and replies labelled under a profile, and the digest that tells two apart."""

from __future__ import annotations

import dataclasses
from typing import Any

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter, with_system
from saber.lm.chat.chat_format import TODAY, writes_the_date
from saber.lm.inference.generation.greedy import end_tokens
from saber.lm.inference.generation.suppression import suppressed_of
from saber.scoring.labelling import label_reply, labeller_digest
from saber.scoring.markers import markers_of
from saber.scoring.refusals import Label, find_marker, label_response
from saber.types import PROMPT_KINDS, Prompt, Split, digest_json

DEFINITIONS = 2  # raise it when a metric is computed in another way, so that old and new numbers are kept apart


def ordered(split: Split) -> tuple[Prompt, ...]:
    """All prompts of a split by kind, the order in which responses are kept."""
    return tuple(prompt for kind in PROMPT_KINDS for prompt in split.of(kind))


def marker_words(profile: EvaluateConfig) -> tuple[str, ...]:
    """The phrases that make a response a refusal: the profile's own, or else those of its lists.

    Raises:
        UserError: a list is unknown, cannot be read, or is no list of markers.
    """
    return profile.markers or markers_of(profile.marker_list)


def further_markers(profile: EvaluateConfig) -> tuple[str, ...]:
    """The phrases that refuse beside the rules: the profile's own, or else its lists but ``en``.

    Raises:
        UserError: a list is unknown, cannot be read, or is no list of markers.
    """
    return profile.markers or markers_of([name for name in profile.marker_list if name != "en"])


def under(adapter: Adapter, profile: EvaluateConfig) -> Adapter:
    """The same model under the profile's system prompt: ``None`` keeps the model's own, ``""`` takes it away."""
    if profile.system_prompt is None:
        return adapter
    return with_system(adapter, profile.system_prompt or None)


def protocol_digest(adapter: Adapter, split: Split, profile: EvaluateConfig) -> str:
    """Digest of how numbers are measured: prompts, template, system prompt, dtype, length, labels and definitions.

    What most models have nothing of, such as thoughts, is in it only where there is some.
    """
    is_by_rules = profile.labeller == "rules"
    by_rules = {"labeller": labeller_digest()} if is_by_rules else {}  # absent by markers, as in older studies
    return digest_json(
        _rarities(adapter, profile)
        | {
            **by_rules,
            "definitions": DEFINITIONS,
            "profile": profile.profile,
            "prompts": split.digest,
            "template": adapter.tokenizer.chat_template,
            "system": under(adapter, profile).system_prompt,
            "dtype": str(adapter.dtype),
            "max_new_tokens": profile.max_new_tokens,
            "markers": list(further_markers(profile) if is_by_rules else marker_words(profile)),
            "empty_is": profile.empty_is,
            "drift_kinds": sorted(profile.drift_kinds),
            "kld_positions": profile.kld_positions,
        }
    )


def _rarities(adapter: Adapter, profile: EvaluateConfig) -> dict[str, Any]:
    """What is not as most models have it: the chat format, room to think, tokens never said, a date in the template."""
    rarities: dict[str, Any] = {}
    if about := adapter.chat.described:
        rarities["chat"] = about
    if adapter.chat.thinking is not None and adapter.chat.thinking.mode == "on":
        rarities["max_thinking_tokens"] = profile.max_thinking_tokens
    suppressed = suppressed_of(adapter.model.generation_config, end_tokens(adapter))
    if suppressed is not None:
        rarities["suppressed"] = dataclasses.asdict(suppressed)
    if writes_the_date(adapter.tokenizer):
        rarities["today"] = TODAY.isoformat()
    return rarities


def label_text(text: str, prompt: str, profile: EvaluateConfig, *, finished: bool) -> tuple[Label, str | None]:
    """The label and what fired: by markers only where a response refuses, by rules always.

    Under rules, a response refuses as well where a marker of another language, or of the user's own, occurs.

    Raises:
        UserError: a list of markers is unknown, cannot be read, or is no list of markers.
    """
    if profile.labeller == "markers":
        return label_response(text, finished=finished, markers=marker_words(profile), empty_is=profile.empty_is)
    if marker := find_marker(text, further_markers(profile)):
        return "refuse", marker
    return label_reply(text, prompt, finished=finished, empty_is=profile.empty_is)
