"""The base's logits: the same numbers from memory and from disk, within a budget, said before they are written."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from saber import cache
from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.apply import applied
from saber.lm.evaluation import base_logits, teacher_forcing
from saber.lm.evaluation.base_logits import GIGABYTE, PARTS, Stored, TeacherForced, bytes_per_position, part_bytes
from saber.lm.evaluation.reference import make_reference
from saber.lm.evaluation.teacher_forcing import drift_of
from saber.types import Split, UserError
from tests.lm.evaluation.test_profiles import plan_of

PER_KIND = 10
BUDGET_GB = 0.001  # a part of it holds the logits of 97 positions


def profile(memory_gb: float = BUDGET_GB) -> EvaluateConfig:
    return EvaluateConfig(max_new_tokens=8, batch_size=16, memory_gb=memory_gb)


@pytest.mark.parametrize("keeps", [True, False], ids=["cache", "scratch"])
@pytest.mark.parametrize("n_trials", [1, 3])
def test_a_small_budget_changes_no_number(
    adapter: Adapter, split: Split, tmp_path: Path, n_trials: int, keeps: bool
) -> None:
    plans = [plan_of(adapter)] * n_trials
    drifts = []
    for budget in (4.0, BUDGET_GB):
        reference = make_reference(adapter, split, profile(budget), cache=tmp_path if keeps else None)
        assert isinstance(reference.drift, Stored) == (budget == BUDGET_GB)
        with applied(adapter, plans):
            drifts.append(drift_of(adapter, reference, n_trials=n_trials, batch_size=16).nats)
    for name, values in drifts[0].items():
        assert values.isfinite().all()
        torch.testing.assert_close(drifts[1][name], values, atol=1e-6, rtol=1e-5)


def test_every_batch_and_pass_keeps_to_its_part_of_the_budget(adapter: Adapter, split: Split, tmp_path: Path) -> None:
    reference = make_reference(adapter, split, profile(), cache=tmp_path)
    limit = part_bytes(profile())
    assert limit == BUDGET_GB * GIGABYTE // PARTS
    assert len(reference.drift) > 3
    for part in reference.drift:
        assert part.logits.nbytes <= limit
        assert part.batch.input_ids.numel() * bytes_per_position(adapter) <= limit  # the pass's whole output


@pytest.mark.parametrize("n_trials", [1, 3])
def test_trials_side_by_side_keep_to_the_budget_too(
    adapter: Adapter, split: Split, tmp_path: Path, n_trials: int
) -> None:
    reference = make_reference(adapter, split, profile(), cache=tmp_path)
    sizes: list[tuple[int, int]] = []

    def note(_module: object, _args: object, kwargs: dict[str, torch.Tensor]) -> None:
        rows, width = kwargs["input_ids"].shape
        sizes.append((rows, width))

    handle = adapter.model.register_forward_pre_hook(note, with_kwargs=True)
    with applied(adapter, [plan_of(adapter)] * n_trials):
        drift_of(adapter, reference, n_trials=n_trials, batch_size=256)
    handle.remove()
    allowed = part_bytes(profile())
    assert any(rows > 1 for rows, _ in sizes)
    for rows, width in sizes:  # one row of every trial is the least that a pass can hold
        assert rows == n_trials or rows * width * bytes_per_position(adapter) <= allowed


def test_only_one_batch_is_in_memory_at_a_time(
    adapter: Adapter, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = make_reference(adapter, split, profile(), cache=tmp_path)
    alive: list[weakref.ref[torch.Tensor]] = []
    counts: list[int] = []

    def counting(path: Path, *, is_known: bool) -> TeacherForced:
        counts.append(sum(logits() is not None for logits in alive))
        part = read(path, is_known=is_known)
        alive.append(weakref.ref(part.logits))
        return part

    read = base_logits._read
    monkeypatch.setattr(base_logits, "_read", counting)
    drift_of(adapter, reference, n_trials=1, batch_size=16)
    assert len(counts) == len(reference.drift) > 3
    assert max(counts) <= 1  # while one is read, the one before may still be there


def test_what_they_take_is_said_before_and_taken_after(adapter: Adapter, split: Split, tmp_path: Path) -> None:
    said: list[tuple[str, int]] = []

    def say(text: str) -> None:
        said.append((text, sum(path.stat().st_size for path in tmp_path.rglob("*/*.safetensors"))))

    make_reference(adapter, split, profile(), cache=tmp_path, say=say)
    _, (text, size_then) = said  # before it, that the base replies
    size = sum(path.stat().st_size for path in tmp_path.rglob("logits-*/*.safetensors"))
    assert size_then == 0
    assert f"base logits of {2 * PER_KIND} tune prompts: " in text
    assert float(text.split(": ")[1].split()[0]) * GIGABYTE == pytest.approx(size, rel=0.1)
    make_reference(adapter, split, profile(), cache=tmp_path, say=say)
    assert len(said) == 2  # found again, nothing taken


def test_a_disk_without_room_is_one_line(
    adapter: Adapter, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"expected \S+ GB of disk in .* found 1e-06 GB free: free space"):
        make_reference(adapter, split, profile(), cache=tmp_path)
    assert not list(tmp_path.rglob("logits-*/*"))


def test_a_budget_too_small_for_one_prompt_is_one_line(adapter: Adapter, split: Split) -> None:
    with pytest.raises(UserError, match=r"evaluate.memory_gb: expected at least \S+ for a prompt and response of"):
        make_reference(adapter, split, profile(1e-6))


def test_another_budget_leaves_no_old_files(adapter: Adapter, split: Split, tmp_path: Path) -> None:
    make_reference(adapter, split, profile(), cache=tmp_path)
    before = {path.name for path in tmp_path.rglob("logits-*/*")}
    make_reference(adapter, split, profile(4.0), cache=tmp_path)
    after = {path.name for path in tmp_path.rglob("logits-*/*")}
    assert len(after) == 2  # twenty prompts at sixteen a batch
    assert not before & after


def test_a_scratch_folder_goes_with_its_reference(
    adapter: Adapter, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_logits, "mkdtemp", lambda prefix: str(tmp_path / prefix))
    reference = make_reference(adapter, split, profile())
    assert len(list((tmp_path / "saber-logits-").iterdir())) == len(reference.drift)
    del reference
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_went_away_is_one_line_and_never_rebuilt_from_an_edited_model(
    adapter: Adapter, split: Split, tmp_path: Path
) -> None:
    reference = make_reference(adapter, split, profile(), cache=tmp_path)
    next(iter(sorted(tmp_path.rglob("logits-*/0001-*")))).unlink()
    with (
        applied(adapter, [plan_of(adapter)]),
        pytest.raises(UserError, match=r"expected base logits in .* run again"),
    ):
        drift_of(adapter, reference, n_trials=1, batch_size=16)


def test_a_file_is_summed_once_and_again_where_it_changed(
    adapter: Adapter, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = make_reference(adapter, split, profile(), cache=tmp_path)
    summed: list[int] = []

    def counting(tensors: Mapping[str, torch.Tensor], value: str) -> str:
        summed.append(len(tensors))
        return total(tensors, value)

    total = cache._sum
    monkeypatch.setattr(cache, "_sum", counting)
    for _ in range(3):
        drift_of(adapter, reference, n_trials=1, batch_size=16)
    assert len(summed) == len(reference.drift)
    path = sorted(tmp_path.rglob("logits-*/0001-*"))[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"expected base logits in .* its checksum differs"):
        drift_of(adapter, reference, n_trials=1, batch_size=16)


@pytest.mark.parametrize("n_trials", [1, 3])
def test_pieces_of_any_size_give_the_very_same_drift(
    adapter: Adapter, split: Split, monkeypatch: pytest.MonkeyPatch, n_trials: int
) -> None:
    reference, drifts = make_reference(adapter, split, profile(4.0)), []
    for cached_logits in (1, 2**40):
        monkeypatch.setattr(teacher_forcing, "CACHED_LOGITS", cached_logits)
        with applied(adapter, [plan_of(adapter)] * n_trials):
            drifts.append(drift_of(adapter, reference, n_trials=n_trials, batch_size=16))
    assert all(torch.equal(drifts[0].nats[name], drifts[1].nats[name]) for name in drifts[0].nats)
    assert drifts[0].beginnings == drifts[1].beginnings


PEAK = """
import resource, sys
from types import SimpleNamespace
from pathlib import Path
import torch
torch.set_num_threads(1)
from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import adapt
from saber.lm.evaluation.teacher_forcing import drift_of
from saber.lm.loading.load import build_model
from saber.lm.evaluation.reference import make_reference
from saber.types import Prompt, Split
from tests.conftest import TINY_GEMMA4
def peak_kb():  # not ru_maxrss, which begins at that of the process that started this one
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
rows = [[2, *range(3, 23 + i % 7)] for i in range(60)]
tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=1, chat_template="x")
tokenizer.apply_chat_template = lambda chats, tokenize, **_: (
    {"input_ids": [rows[int(c[-1]["content"])] for c in chats]} if tokenize else [c[-1]["content"] for c in chats])
model = build_model("gemma4_text", TINY_GEMMA4 | {"vocab_size": 32768, "vocab_size_per_layer_input": 32768})
adapter = adapt(model, tokenizer)
split = Split("tune", tuple(Prompt(str(i), "harmless") for i in range(60)))
profile = EvaluateConfig(max_new_tokens=4, batch_size=60, memory_gb=float(sys.argv[1]))
before = peak_kb()
reference = make_reference(adapter, split, profile)
values = drift_of(adapter, reference, n_trials=1, batch_size=60).nats
print(peak_kb() - before)
"""


def peak_mb(memory_gb: float) -> float:
    """How much the process grew while it made and used 60 prompts' logits, some 190 MB of them."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(memory_gb)], capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[0]) * 1024 / 1e6


def test_the_process_itself_grows_no_more_than_the_budget_says() -> None:
    assert peak_mb(0.05) < 50 + 50  # what else a process grows by
    assert peak_mb(4.0) > 200
