"""How models are loaded: as configured, on the configured threads, and nothing of the base's own given to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from saber.config import ModelConfig
from saber.keys import with_values
from saber.lm.architecture.adapter import Adapter
from saber.lm.loading import load as loading
from saber.lm.loading.load import load_as
from saber.study.context import in_full_dtype, load_base
from saber.study.front import checkpoint_comparison as checkpoints
from saber.study.run.session import resume
from tests.commands import configured, words_of


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is asked of every load; the weights come unpacked, as bitsandbytes need not be there."""
    seen: list[dict[str, Any]] = []
    real = loading.load

    def noting(path: str, **options: Any) -> Adapter:
        seen.append({"path": path, **options})
        return real(path, **options | {"quantise": "none"})

    monkeypatch.setattr(loading, "load", noting)
    return seen


@pytest.fixture
def two_threads() -> Iterator[int]:
    """A number of threads other than that of the tests, which is put back afterwards."""
    before = torch.get_num_threads()
    yield before + 1
    torch.set_num_threads(before)


def test_another_checkpoint_is_loaded_as_the_base_but_for_its_revision_and_packing(
    organism_folder: Path, tmp_path: Path, loads: list[dict[str, Any]]
) -> None:
    words = words_of(organism_folder, tmp_path, "++model.revision=abc", "++model.quantise=4bit", "splits=[tune]")
    config = configured(words)
    checkpoints.measure_checkpoints(config, [str(organism_folder)])
    base, other = loads
    assert (base["revision"], base["quantise"]) == ("abc", "4bit")
    assert other == base | {"revision": None, "quantise": "none"}


def test_a_dtype_replaces_the_configured_one(organism_folder: Path, loads: list[dict[str, Any]]) -> None:
    model = ModelConfig(str(organism_folder), dtype="float32", device="cpu", system_prompt="Be brief.")
    assert load_as(model, str(organism_folder)).dtype == torch.float32
    again = load_as(model, str(organism_folder), dtype=torch.bfloat16)
    assert (again.dtype, again.system_prompt) == (torch.bfloat16, "Be brief.")
    assert [load["trust_remote_code"] for load in loads] == [False, False]
    assert load_as(replace(model, trust_remote_code=True), str(organism_folder)).dtype == torch.float32
    assert loads[-1]["trust_remote_code"] is True


def test_the_base_is_loaded_on_the_configured_threads(organism_folder: Path, tmp_path: Path, two_threads: int) -> None:
    config = configured(words_of(organism_folder, tmp_path))
    load_base(with_values(config, {"launch.threads": None}))
    assert torch.get_num_threads() == two_threads - 1
    load_base(with_values(config, {"launch.threads": two_threads}))
    assert torch.get_num_threads() == two_threads


def test_a_base_loaded_again_in_full_keeps_its_reference(
    finished_once: Path, organism_folder: Path, tmp_path: Path, loads: list[dict[str, Any]]
) -> None:
    _, bench = resume(configured(words_of(organism_folder, finished_once)))
    packed = replace(bench, folder=tmp_path, config=with_values(bench.config, {"model.quantise": "4bit"}))

    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.safetensors")}

    full = in_full_dtype(packed)
    written = files()
    assert len(list((tmp_path / "cache").glob("responses-tune-*"))) == 1
    assert len(list((tmp_path / "cache").glob("logits-tune-*"))) == 1
    again = in_full_dtype(packed)
    assert files() == written
    assert again.reference.responses == full.reference.responses == bench.reference.responses
    assert [load["quantise"] for load in loads[-2:]] == ["none", "none"]
    assert in_full_dtype(bench) is bench
