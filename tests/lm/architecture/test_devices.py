"""Where parts are on a machine with two GPUs, told from a device map alone: nothing here needs one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from saber.lm.architecture import devices
from saber.lm.architecture.adapter import adapt
from saber.lm.architecture.devices import computes_on, in_main_memory, is_spread, one_device, spread
from tests.lm.families import tiny
from tests.lm.plans import logits

ON_TWO = {"model.embed_tokens": 0, "model.layers.0": 0, "model.layers.1": 1, "model.layers.2": "disk", "lm_head": 1}


@pytest.mark.parametrize(("has_gpu", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_the_gpu_where_there_is_one(has_gpu: bool, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert one_device("auto") == device
    assert one_device("cpu") == "cpu"


def test_gpus_are_named_by_number_and_rooms_are_theirs() -> None:
    asked = spread({"model": "gpu1", "lm_head": 0}, {"gpu0": "40GiB", "1": "20GiB", "cpu": "100GiB"}, "/scratch")
    assert asked == {
        "device_map": {"model": 1, "lm_head": 0},
        "max_memory": {0: "40GiB", 1: "20GiB", "cpu": "100GiB"},
        "offload_folder": "/scratch",
    }
    assert spread("balanced", None, None) == {"device_map": "balanced"}


def on_two_gpus() -> nn.Module:
    """A model whose weights are elsewhere, as accelerate leaves those that are brought when they are computed with."""
    model = tiny("llama").model
    model.hf_device_map = dict(ON_TWO)
    return model.to("meta")


@pytest.mark.parametrize(
    ("part", "device"), [("model.layers.0.mlp", "cuda:0"), ("lm_head", "cuda:1"), ("model.layers.2.mlp", "cuda:0")]
)
def test_what_is_held_on_disk_computes_on_the_first_gpu(part: str, device: str) -> None:
    model = on_two_gpus()
    assert is_spread(model)
    assert computes_on(model, part, torch.empty(1, device="meta")) == torch.device(device)
    assert computes_on(model, part, torch.empty(1)) == torch.device("cpu")  # where a weight is is where it computes


def test_writers_and_token_ids_are_where_their_blocks_and_the_embedding_are() -> None:
    adapter = adapt(on_two_gpus(), None)
    at = {writer.layer: writer.device for writer in adapter.writers}
    assert at[0] == torch.device("cuda:0")
    assert at[1] == torch.device("cuda:1")
    assert adapter.device == torch.device("cuda:0")


def test_a_model_on_two_gpus_goes_back_to_both(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = tiny("llama")
    adapter.model.hf_device_map = {"model": 0, "lm_head": 1}
    before, back = logits(adapter), dict[str, Any]()
    monkeypatch.setattr(devices, "dispatch_model", lambda _, device_map: back.update(device_map))
    with in_main_memory(adapter.model):
        assert torch.equal(logits(adapter), before)
        assert back == {}
    assert back == {"model": 0, "lm_head": 1}
