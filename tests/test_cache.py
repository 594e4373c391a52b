"""A cache is built once per key, and a damaged one is noticed and rebuilt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from saber.cache import Cached, cached
from saber.types import UserError


class Builder:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Cached:
        self.calls += 1
        return Cached({"x": torch.arange(6.0), "y": torch.tensor([True, False])}, {"n": self.calls})


def test_built_once_per_key(tmp_path: Path) -> None:
    build = Builder()
    first = cached(tmp_path, "a", {"k": 1}, build)
    again = cached(tmp_path, "a", {"k": 1}, build)
    assert build.calls == 1
    assert torch.equal(again.tensors["x"], first.tensors["x"])
    assert again.value == {"n": 1}
    cached(tmp_path, "a", {"k": 2}, build)
    assert build.calls == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "header"])
def test_a_damaged_file_is_rebuilt_with_a_warning(tmp_path: Path, damage: str) -> None:
    build = Builder()
    cached(tmp_path, "a", {"k": 1}, build)
    (path,) = tmp_path.glob("*.safetensors")
    raw = bytearray(path.read_bytes())
    if damage == "flip":
        raw[-2] ^= 1
    damaged: dict[str, bytes | bytearray] = {"flip": raw, "cut": raw[:-5], "empty": b"", "header": b"\xff" * 40}
    path.write_bytes(damaged[damage])
    with pytest.warns(UserWarning, match="is damaged"):
        cached(tmp_path, "a", {"k": 1}, build)
    assert build.calls == 2
    cached(tmp_path, "a", {"k": 1}, build)
    assert build.calls == 2


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="expected to write the cache"):
        cached(tmp_path / "file" / "cache", "a", {}, Builder())


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    cached(tmp_path, "a", {"k": 1}, Builder())
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
