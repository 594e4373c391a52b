"""How the study speaks to its model: found out once, told in a line, and kept, so that every process does the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from saber.cache import Cached, cached
from saber.config import Config
from saber.data.splits import load_splits
from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.weights import weights_digest
from saber.lm.chat.chat_format import TODAY, ChatFormat, writes_the_date
from saber.lm.chat.template_trial import reads_argument
from saber.lm.evaluation.protocol import under
from saber.lm.inference.batches import check_held
from saber.lm.inference.common_prefix import N_PROMPTS, with_common_prefix
from saber.lm.inference.generation.suppression import ignored_by
from saber.lm.inference.thinking import N_REPLIES, restored, spoken, stored, with_thinking
from saber.types import Split, digest_json


def recognised(
    adapter: Adapter, config: Config, probe: Split, folder: Path, digest: str, say: Callable[[str], None]
) -> Adapter:
    """The same model with what is done about its thinking and its fixed beginnings; what is unusual is said.

    Raises:
        UserError: what is asked for cannot be done with this model, or its template drops prompts.
    """
    for line in remarks(adapter):
        say(line)
    check_held(adapter, probe.prompts)
    harmful, harmless = probe.of("harmful"), probe.of("harmless")
    texts = [p.text for pair in zip(harmful, harmless, strict=False) for p in pair] or [p.text for p in probe.prompts]
    as_heretic = config.evaluate.skips_common_prefix and config.model.thinking == "auto"
    key = {
        "model": digest,
        "dtype": str(adapter.dtype),
        "template": adapter.tokenizer.chat_template,
        "chat": adapter.chat.described,
        "system": under(adapter, config.evaluate).system_prompt,
        "thinking": config.model.thinking,
    }

    def remember(name: str, asked: list[str], build: Callable[[], Any], **more: Any) -> Any:
        """What was found in replies to some texts, from the cache or found now."""
        return cached(folder, name, {**key, "prompts": digest_json(asked), **more}, lambda: Cached({}, build())).value

    if not as_heretic:
        adapter = _thinking(adapter, config, texts, remember, say)
    if config.evaluate.skips_common_prefix:
        both = [prompt.text for kind in (harmless, harmful) for prompt in kind[:N_PROMPTS]]
        adapter = _without_common_prefix(adapter, config, both, remember, say)
    return adapter


def as_studied(adapter: Adapter, config: Config, folder: Path, say: Callable[[str], None]) -> Adapter:
    """The base as its study in a folder speaks to it: what was found when that was begun, or found now.

    Raises:
        UserError: as of `recognised`, or the study's data cannot be read.
    """
    splits = load_splits(config.data, config.organism.seed, config.organism.family)
    return recognised(adapter, config, splits["probe"], folder / "cache", weights_digest(adapter.model), say)


def remarks(adapter: Adapter) -> list[str]:
    """What is unusual about this model's template and generation config, a line each."""
    said: list[str] = []
    for name, value in adapter.chat.arguments.items():
        if not reads_argument(adapter.tokenizer, adapter.chat, adapter.system_prompt, name, value):
            said.append(
                f"model.template.{name}={value}: the chat template renders the same without it; is it named so there?"
            )
    if adapter.chat.prompt_form is not None and adapter.tokenizer.chat_template:
        said.append("model.template=plain: the model's own chat template is left out, though it has one")
    if adapter.chat.prompt_form is None and writes_the_date(adapter.tokenizer):
        said.append(f"the chat template writes today's date: it is told {TODAY:%d %b %Y} on every day")
    ignored = ignored_by(adapter.model.generation_config)
    if ignored:
        named = ", ".join(f"{name}={value}" for name, value in ignored.items())
        said.append(f"the generation config's {named} is not heeded: replies are the most likely tokens")
    return said


def _thinking(
    adapter: Adapter, config: Config, texts: list[str], remember: Callable[..., Any], say: Callable[[str], None]
) -> Adapter:
    """What is done about thinking."""
    asked, mode = under(adapter, config.evaluate), config.model.thinking
    stored_thinking = remember("thinking", texts[:N_REPLIES], lambda: stored(with_thinking(asked, mode, texts).chat))
    assert stored_thinking is None or isinstance(stored_thinking, dict)
    adapter = restored(adapter, stored_thinking)
    if line := spoken(adapter, mode):
        say(line)
    return adapter


def _without_common_prefix(
    adapter: Adapter, config: Config, texts: list[str], remember: Callable[..., Any], say: Callable[[str], None]
) -> Adapter:
    """What all replies begin with, put into every prompt."""
    asked, limit, size = under(adapter, config.evaluate), config.evaluate.max_new_tokens, config.evaluate.batch_size
    suffix = remember(
        "common-prefix",
        texts,
        lambda: with_common_prefix(asked, texts, max_new_tokens=limit, batch_size=size).chat.suffix,
        limit=limit,
    )
    assert isinstance(suffix, str)
    if not suffix:
        return adapter
    say(f"all replies begin alike, and every prompt ends with it, as Heretic has it: {suffix!r}")
    chat: ChatFormat = replace(adapter.chat, suffix=suffix)
    return replace(adapter, chat=chat)
