"""Every model type that the rows serve keeps what an edit promises, on a tiny random model of the type."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import CONFIG_MAPPING, AutoConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.architecture.families import FAMILIES
from saber.lm.architecture.text_half import text_type
from saber.lm.architecture.unserved import UNSERVED, why_unserved
from saber.lm.architecture.verify import verify_writers
from saber.lm.editing.apply import applied, bake
from saber.lm.editing.shards import bake_checkpoint
from saber.lm.inference.generation.greedy import greedy
from saber.lm.inference.residuals import last_token_residuals
from saber.lm.loading.model_classes import answering
from saber.types import EditPlan, Prompt, UserError
from tests.lm.plans import TOKENS, everywhere, logits, relative, share_along, two_rounds, unit
from tests.lm.tiny_types import BOTH_WAYS, SPEAKS, TYPES, UNPADDED, UNTRIED, tiny_config, tiny_of_type

ROWS = [[5, 9, 3, 20, 7, 33, 8, 14], [11, 4, 60], [2, 19, 21, 6, 40], [30, 12]]

every_type = pytest.mark.parametrize("model_type", TYPES)


def fresh(model_type: str) -> Adapter:
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=1, chat_template="x")
    tokenizer.apply_chat_template = lambda chats, **_: {"input_ids": [ROWS[int(c[-1]["content"])] for c in chats]}
    return adapt(copy.deepcopy(tiny_of_type(model_type)), tokenizer)


@every_type
def test_edits_are_exact_virtual_baked_in_trials_and_on_disk(model_type: str, tmp_path: Path) -> None:
    adapter = fresh(model_type)
    error = verify_writers(adapter)
    assert error is None if adapter.family.inexact is not None else error is not None and error < 1e-6
    r = unit(adapter.d_model, 1, 3)
    plan = EditPlan.from_directions({l: (r, torch.ones(1)) for l in range(adapter.n_layers)})
    other = two_rounds(adapter, 7)
    before = logits(adapter)
    assert share_along(adapter, r[:, 0]) > 0.05
    with applied(adapter, [plan]):
        assert share_along(adapter, r[:, 0]) < 1e-5
        virtual = logits(adapter)
    with applied(adapter, [other]):
        beside = logits(adapter)
    assert relative(virtual, before) > 0.003
    with applied(adapter, [plan, everywhere(adapter, 0.0), other]):
        together = logits(adapter, TOKENS.repeat(3, 1)).unflatten(0, (3, -1))
    for alone, group in zip([virtual, before, beside], together, strict=True):
        assert relative(group, alone) < 1e-5
    adapter.model.save_pretrained(tmp_path / "base")
    bake_checkpoint(tmp_path / "base", tmp_path / "on_disk", plan)
    bake(adapter, plan)
    assert share_along(adapter, r[:, 0]) < 1e-5
    baked = logits(adapter)
    assert relative(baked, virtual) < 1e-5
    adapter.model.save_pretrained(tmp_path / "baked")
    again = type(adapter.model).from_pretrained(tmp_path / "baked", dtype=torch.float32).eval()
    with torch.no_grad():
        assert relative(again(input_ids=TOKENS, use_cache=False).logits, baked) < 1e-6
    in_memory, on_disk = (tensors(tmp_path / name) for name in ("baked", "on_disk"))
    assert on_disk.keys() == in_memory.keys()
    for name, tensor in in_memory.items():
        torch.testing.assert_close(on_disk[name], tensor, rtol=1e-5, atol=1e-6)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


@every_type
def test_a_batch_reads_and_says_what_its_prompts_do_alone(model_type: str) -> None:
    adapter = fresh(model_type)
    size = 1 if model_type in UNPADDED else 8
    prompts = [Prompt(str(i), "harmful") for i in range(len(ROWS))]
    together = last_token_residuals(adapter, prompts, batch_size=size)
    alone = last_token_residuals(adapter, prompts, batch_size=1)
    torch.testing.assert_close(together, alone, atol=2e-4, rtol=2e-4)
    (batch,) = greedy(adapter, ROWS, max_new_tokens=3, batch_size=size)
    for row, ours in zip(ROWS, batch, strict=True):
        assert list(ours.whole) == said_alone(adapter, row, 3, with_cache=model_type in BOTH_WAYS)


def said_alone(adapter: Adapter, row: list[int], n: int, *, with_cache: bool) -> list[int]:
    """What the model says next: token by token without any cache, or as transformers generates it."""
    if with_cache:
        ids = torch.tensor([row])
        return adapter.model.generate(ids, do_sample=False, max_new_tokens=n)[0, len(row) :].tolist()
    said: list[int] = []
    while len(said) < n and said[-1:] != [1]:
        ids = torch.tensor([[*row, *said]])
        with torch.no_grad():
            out = adapter.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        said.append(int(out.logits[0, -1].argmax()))
    return said


def test_every_row_has_a_model_that_tries_it() -> None:
    assert {text_type(tiny_config(name, more)) for name, more in TYPES.items()} == set(FAMILIES)


REGISTERED = sorted(
    {
        *MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        *MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        *MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    }
)


def test_every_registered_type_is_declared_or_refused_with_a_reason() -> None:
    for name in REGISTERED:
        if name in UNSERVED:  # some of these have no default configuration
            continue
        config = answering(AutoConfig.for_model(name))
        if why_unserved(config, text_type(config)) is None:
            assert FAMILIES.keys() & {text_type(config), name}, name
            assert name in {*TYPES, *UNTRIED, *SPEAKS}, name


def test_every_refused_type_is_one_that_transformers_has() -> None:
    assert [name for name in UNSERVED if name not in CONFIG_MAPPING] == []
    assert not UNSERVED.keys() & {*FAMILIES, *TYPES}


@pytest.mark.parametrize(
    ("model_type", "reason"), [("roberta", "it is an encoder, trained"), ("t5", "an encoder-decoder")]
)
def test_what_is_refused_is_told_why(model_type: str, reason: str) -> None:
    model = SimpleNamespace(config=AutoConfig.for_model(model_type))
    with pytest.raises(UserError, match=f"a family whose writes can be edited, found {model_type}: .*{reason}"):
        adapt(model, None)
