"""What all tests share: one torch thread, a tiny Gemma 4 with every trap, a quick organism and a study of it."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from saber.lm.architecture.adapter import Adapter, adapt
from saber.lm.loading.load import build_model
from saber.organism.build import Recipe, ensure_organism
from tests.commands import run_here, words_of

settings.register_profile("busy", deadline=None)  # other work may share the machine; a hang meets pytest's own limit
settings.load_profile("busy")

FEW_STEPS = 120
N_TRIALS = 4

TINY_GEMMA4 = {
    "vocab_size": 64,
    "hidden_size": 24,
    "num_hidden_layers": 6,
    "intermediate_size": 40,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "global_head_dim": 8,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 64,
    "num_kv_shared_layers": 2,
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 3,
    "final_logit_softcapping": 30.0,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    """Give norms, biases and scales values of their own: default initialisation hides most editing bugs."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            parameter.data.copy_(0.3 + noise.abs())
        elif parameter.ndim == 1:
            parameter.data.copy_(0.5 * noise)
        else:
            parameter.data.copy_(noise / parameter.shape[-1] ** 0.5)
    for name, buffer in model.named_buffers():
        if "layer_scalar" in name:
            buffer.fill_(0.8)


@pytest.fixture
def tiny_gemma4() -> Adapter:
    """A fresh tiny Gemma 4 (sandwich norms, per-layer inputs, shared KV, sliding windows, a stream scale)."""
    model = build_model("gemma4_text", TINY_GEMMA4)
    randomise(model)
    return adapt(model, None)


@pytest.fixture(scope="session")
def organism_folder(request: pytest.FixtureRequest) -> Path:
    """An organism trained for few steps: it refuses nearly everything, and edits change what it says.

    It is trained once (some 20 s) and kept in pytest's own cache until the recipe changes; of several test processes
    the first trains it and the others wait.
    """
    folder = request.config.cache.mkdir("organism")
    out = folder / f"{FEW_STEPS}-steps"
    with open(folder / "training.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ensure_organism(out, Recipe(steps=FEW_STEPS))
    return out


@pytest.fixture(scope="session")
def finished_once(organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study; copy it rather than change it."""
    folder = tmp_path_factory.mktemp("finished")
    said = run_here("sweep", words_of(organism_folder, folder, f"study.n_trials={N_TRIALS}"), folder)
    assert said.status == 0, said.err
    return folder


@pytest.fixture(scope="session")
def published_once(finished_once: Path, organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study whose frontier is published; copy it rather than change it."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(finished_once, folder, dirs_exist_ok=True)
    said = run_here("frontier", words_of(organism_folder, folder), folder)
    assert said.status == 0, said.err
    return folder


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """A finished study of one's own."""
    shutil.copytree(finished_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def published(published_once: Path, tmp_path: Path) -> Path:
    """A published study of one's own."""
    shutil.copytree(published_once, tmp_path, dirs_exist_ok=True)
    return tmp_path
