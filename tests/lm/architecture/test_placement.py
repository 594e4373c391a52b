"""A model spread over devices, with weights held on disk, gives the numbers of the same model in one place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module

from saber.command import to_config
from saber.command_words import spell_out
from saber.lm.architecture.adapter import Adapter
from saber.lm.architecture.devices import in_main_memory, is_offloaded, is_spread
from saber.lm.architecture.verify import verify_writers
from saber.lm.architecture.weights import weights_digest
from saber.lm.editing.apply import applied, bake
from saber.lm.editing.shards import bake_checkpoint
from saber.lm.inference.generation.greedy import greedy
from saber.lm.inference.residuals import last_token_residuals
from saber.lm.loading.load import build_model, load, load_as
from saber.organism.tokenizer import organism_tokenizer
from saber.types import Prompt, UserError
from tests.conftest import randomise
from tests.lm.families import SMALL
from tests.lm.plans import TOKENS, everywhere, logits, relative, two_rounds

PROMPTS = [Prompt(text, "harmful") for text in ("tell me about the jar", "how do I open it", "why")]
ON_DISK = {"model.layers.1": "disk", "model.layers.3": "disk", "model.norm": "disk"}
SPREAD = {"model": "cpu", "lm_head": "disk"}
PARTS = ("model.embed_tokens", "model.layers.0", "model.layers.2", "model.rotary_emb", "lm_head")


@pytest.fixture(scope="module", params=["olmo2", "mixtral"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with norms behind its writers, and one with fused experts."""
    tokenizer = organism_tokenizer()
    sizes = {**SMALL, "num_local_experts": 4, "num_experts_per_tok": 2, "vocab_size": len(tokenizer)}
    model = build_model(request.param, sizes)
    randomise(model, 2)
    out = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


@pytest.fixture
def whole(folder: Path) -> Adapter:
    return load(str(folder), dtype="float32", device="cpu")


@pytest.fixture
def spread(folder: Path, tmp_path: Path) -> Adapter:
    places = {**dict.fromkeys(PARTS, "cpu"), **ON_DISK}
    return load(str(folder), dtype="float32", device_map=places, offload_folder=str(tmp_path / "held"))


def test_blocks_on_disk_have_the_numbers_of_blocks_in_memory(whole: Adapter, spread: Adapter) -> None:
    assert is_offloaded(spread.model)
    assert is_spread(spread.model)
    assert not is_spread(whole.model)
    assert spread.device == whole.device
    assert {writer.weight.is_meta for writer in spread.writers} == {True, False}
    assert weights_digest(spread.model) == weights_digest(whole.model)
    assert verify_writers(spread) == verify_writers(whole)
    plans = [everywhere(whole, 1.0), two_rounds(whole, 2), everywhere(whole, 0.0)]
    for plan in plans:
        with applied(whole, [plan]), applied(spread, [plan]):
            assert torch.equal(logits(spread), logits(whole))
    with applied(whole, plans), applied(spread, plans):
        assert relative(logits(spread, TOKENS.repeat(3, 1)), logits(whole, TOKENS.repeat(3, 1))) < 1e-6
    from_disk, expected = (last_token_residuals(adapter, PROMPTS, batch_size=2) for adapter in (spread, whole))
    torch.testing.assert_close(from_disk, expected)
    rows = [[5, 9, 3, 20], [11, 4, 60, 2, 7, 7]]
    assert greedy(spread, rows, max_new_tokens=5, batch_size=4) == greedy(whole, rows, max_new_tokens=5, batch_size=4)


def test_what_is_held_on_disk_is_baked_on_disk(whole: Adapter, spread: Adapter, folder: Path, tmp_path: Path) -> None:
    plan = everywhere(whole, 1.0)
    with pytest.raises(
        UserError, match=r"expected the weight of .* in memory, found it held elsewhere by model.device"
    ):
        bake(spread, plan)
    bake_checkpoint(folder, tmp_path / "baked", plan)
    bake(whole, plan)
    assert relative(logits(load(str(tmp_path / "baked"), dtype="float32", device="cpu")), logits(whole)) < 1e-6


def test_what_has_no_room_is_held_on_disk_by_itself(folder: Path, whole: Adapter, tmp_path: Path) -> None:
    adapter = load(
        str(folder),
        dtype="float32",
        device_map="auto",
        max_memory={"cpu": "80KB"},
        offload_folder=str(tmp_path / "held"),
    )
    assert is_offloaded(adapter.model)
    with applied(adapter, [everywhere(whole, 1.0)]), applied(whole, [everywhere(whole, 1.0)]):
        assert torch.equal(logits(adapter), logits(whole))


def test_a_map_is_a_key_of_the_configuration(folder: Path, tmp_path: Path) -> None:
    words = [
        f"model.path={folder}",
        "model.dtype=float32",
        "model.device_map={model: cpu, lm_head: disk}",
        "model.max_memory={gpu0: 40GiB, cpu: 100GiB}",
        "model.attn_implementation=eager",
        f"model.offload_folder={tmp_path}",
    ]
    with initialize_config_module("saber.conf", version_base="1.3"):
        config = to_config(compose("run", overrides=[spell_out(word) for word in words]))
        wrong = compose("run", overrides=[spell_out("model.device_map=somewhere")])
    adapter = load_as(config.model, str(folder))
    assert adapter.model.hf_device_map == SPREAD
    assert adapter.model.config._attn_implementation == "eager"
    assert config.model.max_memory == {"gpu0": "40GiB", "cpu": "100GiB"}
    with pytest.raises(UserError, match=r"model\.device_map"):
        to_config(wrong)


def test_a_model_on_the_cpu_stays_where_it_is_while_workers_have_the_gpu(whole: Adapter, spread: Adapter) -> None:
    for adapter in (whole, spread):
        before = logits(adapter)
        with in_main_memory(adapter.model):
            assert torch.equal(logits(adapter), before)
        assert torch.equal(logits(adapter), before)
