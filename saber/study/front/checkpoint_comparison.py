"""Any checkpoints beside their base: loaded one after the other, measured on the same prompts under one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from saber.config import Config
from saber.console import announce
from saber.data.splits import load_splits
from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.weights import weights_digest
from saber.lm.evaluation.measurement import Measured, measure_trials
from saber.lm.evaluation.protocol import marker_words, protocol_digest
from saber.lm.evaluation.reference import Reference, make_reference
from saber.lm.inference.batches import tokenise
from saber.lm.loading.load import load_as, quiet
from saber.study.chat_recognition import recognised
from saber.study.context import load_base, study_folder
from saber.types import EditPlan, Split, SplitName, UserError

BASE = "base"


def measure_checkpoints(config: Config, names: Sequence[str]) -> dict[str, dict[SplitName, Measured]]:
    """Measure each checkpoint, a folder or a hub id or ``base``, on ``config.splits``; drift is from the base.

    Only one model is in memory at a time.

    Raises:
        UserError: a model cannot be loaded, or it would be measured under another protocol than its base.
    """
    quiet()
    marker_words(config.evaluate)  # a mistaken list is told before a model is loaded
    dealt = load_splits(config.data, config.organism.seed, config.organism.family)
    splits = {name: split for name, split in dealt.items() if name in config.splits}
    base = load_base(config)
    digest, cache = weights_digest(base.model), study_folder(config) / "cache"
    base = recognised(base, config, dealt["probe"], cache, digest, announce)
    chat = base.chat
    references = {
        name: make_reference(base, split, config.evaluate, cache=cache, model_digest=digest, say=announce)
        for name, split in splits.items()
    }
    protocols = {name: _protocol(base, split, config) for name, split in splits.items()}
    measured: dict[str, dict[SplitName, Measured]] = {}
    if BASE in names:
        measured[BASE] = _measure(base, splits, references, config)
    del base
    for name in names:
        if name not in measured:
            other = replace(load_as(config.model, name), chat=chat)  # measured in the base's own format
            for split in splits.values():
                _check_same_protocol(name, protocols[split.name], _protocol(other, split, config))
            measured[name] = _measure(other, splits, references, config)
    return measured


def _measure(
    adapter: Adapter, splits: Mapping[SplitName, Split], references: Mapping[SplitName, Reference], config: Config
) -> dict[SplitName, Measured]:
    """The model as it stands on every split."""
    return {
        name: measure_trials(adapter, split, config.evaluate, references[name], [EditPlan(())])[0]
        for name, split in splits.items()
    }


def _protocol(adapter: Adapter, split: Split, config: Config) -> tuple[str, list[list[int]]]:
    """What must be the same of two models: the protocol's digest and the prompts as tokens."""
    return protocol_digest(adapter, split, config.evaluate), tokenise(adapter, split.prompts)


def _check_same_protocol(name: str, base: tuple[str, list[list[int]]], other: tuple[str, list[list[int]]]) -> None:
    if base[0] != other[0]:
        raise UserError(
            f"expected protocol {base[0]} of the base, found {other[0]} of {name}: its dtype, chat template or system"
            " prompt differs; set model.dtype, or give both one chat_template.jinja"
        )
    if base[1] != other[1]:
        raise UserError(
            f"expected the base's tokens, found that {name} tokenises the prompts otherwise: not comparable"
        )
