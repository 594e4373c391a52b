"""A plan survives the disk, and a damaged one is noticed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from saber.lm.editing.plan_file import load_plan, save_plan
from saber.types import EditPlan, Round, UserError


def a_plan(alpha: float = 0.5, row_norm: bool = True) -> EditPlan:
    r, _ = torch.linalg.qr(torch.ones(6, 2) + torch.eye(6)[:, :2])
    return EditPlan.from_directions({1: (r, torch.tensor([alpha, 0.2]))}, row_norm=row_norm)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    plan = a_plan()
    save_plan(plan, tmp_path / "p.safetensors")
    again = load_plan(tmp_path / "p.safetensors")
    assert again.digest == plan.digest
    assert again.row_norm
    assert torch.equal(again.rounds[0].strengths, plan.rounds[0].strengths)


def test_the_same_plan_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    plan = dataclasses.replace(a_plan(), source={"words": '„ä“ \x1b\x7f\t\u2028 \\ "'})
    for i in range(12):  # written as they come, twelve headers would agree once in two thousand times
        save_plan(plan, tmp_path / str(i))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert load_plan(tmp_path / "0").source == plan.source


def test_unit_rows_are_written_and_told_apart(tmp_path: Path) -> None:
    plan = dataclasses.replace(a_plan(), unit_rows=True)
    save_plan(plan, tmp_path / "p.safetensors")
    again = load_plan(tmp_path / "p.safetensors")
    assert again.unit_rows
    assert again.digest == plan.digest != a_plan().digest


def test_readers_are_written_and_told_apart(tmp_path: Path) -> None:
    bare = a_plan()
    (edit_round,) = bare.rounds
    plan = EditPlan((Round(edit_round.directions, edit_round.strengths, torch.rand(2, 2, 6)),), bare.row_norm)
    save_plan(plan, tmp_path / "p.safetensors")
    again = load_plan(tmp_path / "p.safetensors")
    assert again.digest == plan.digest != bare.digest
    for read, written in zip(again.rounds[0].tensors.values(), plan.rounds[0].tensors.values(), strict=True):
        assert torch.equal(read, written)


def test_the_digest_tells_plans_apart() -> None:
    digests = {a_plan().digest, a_plan(0.6).digest, a_plan(row_norm=False).digest, EditPlan(()).digest}
    assert len(digests) == 4
    assert a_plan().digest == a_plan().digest


def test_flipped_bytes_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    save_plan(a_plan(), path)
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 0x55
    path.write_bytes(raw)
    with pytest.raises(UserError, match="the file is damaged"):
        load_plan(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="expected a plan in"):
        load_plan(path)


def test_directions_must_be_units_of_matching_shape() -> None:
    with pytest.raises(ValueError, match="expected unit columns at layer 2"):
        EditPlan.from_directions({2: (torch.ones(4, 1), torch.ones(1))})
    with pytest.raises(ValueError, match="expected a layer >= 0"):
        EditPlan.from_directions({0: (torch.eye(4)[:, :2], torch.ones(3))})


def test_edited_layers_are_those_with_strength() -> None:
    r = torch.eye(4)[:, :1]
    plan = EditPlan.from_directions({0: (r, torch.zeros(1)), 3: (r, torch.ones(1))})
    assert plan.edited_layers == (3,)
