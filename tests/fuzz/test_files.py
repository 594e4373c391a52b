"""Plans, caches, base logits and scores with flipped, cut and inserted bytes: noticed, or read as they were written."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta
from safetensors.torch import save_file

from saber.cache import Cached, cached
from saber.lm.editing.plan_file import load_plan, save_plan
from saber.lm.editing.tensor_file import places, read_tensor
from saber.lm.evaluation.base_logits import Stored
from saber.study.store.artifacts import stored_responses, upload_responses
from saber.study.store.score_cache import Kept
from saber.types import EditPlan, Prompt, Response, Round
from tests.fuzz import fuzzed, or_one_line
from tests.lm.plans import unit

ROWS = {"base": {"kld": [0.25, 0.2, 0.3], "outcomes": {"refusal": [1, 0]}}, "0123456789ab": {"kld": [1.5, 1.25, 2.0]}}
PLAN = EditPlan(
    tuple(Round(unit(6, 2, seed).T.contiguous(), torch.full((2, 3, 3), 0.25 + seed)) for seed in range(2)),
    row_norm=True,
    source={"study": "s", "trial": 3},
)
RESPONSES = (
    Response(Prompt("How?", "harmful", "c", True), "Sure.", "comply", None, None, {}),
    Response(Prompt("Why?", "capability"), "Because.\u2028", "comply", None, True, {"kld": 0.25}),
)
VALUE = {"texts": ["Sure.", "I cannot"], "n": 2}
TENSORS = {"logits": torch.linspace(-1, 1, 12).reshape(3, 4), "scalar": torch.tensor(3.0), "x": torch.eye(2).bool()}
POSITIONS = {
    "input_ids": torch.arange(6).reshape(2, 3),
    "attention_mask": torch.ones(2, 3, dtype=torch.long),
    **{name: torch.arange(2) for name in ("row", "column", "prompt")},
    **{name: torch.tensor([True, False]) for name in ("is_first", "is_prompt", "is_response")},
    "logits": torch.randn(2, 5, generator=torch.Generator().manual_seed(0)),
}

Damage = Callable[[bytes], bytes]
place = st.one_of(st.floats(0, 1), st.floats(0, 0.2), st.sampled_from([0.0, 1.0]))


def flipped(at: float, mask: int) -> Damage:
    def change(raw: bytes) -> bytes:
        i = min(int(at * len(raw)), len(raw) - 1)
        return raw[:i] + bytes([raw[i] ^ mask]) + raw[i + 1 :]

    return change


def spliced(at: float, length: int, put_in: bytes) -> Damage:
    def change(raw: bytes) -> bytes:
        i = int(at * len(raw))
        return raw[:i] + put_in + raw[i + length :]

    return change


def swapped(old: bytes, new: bytes) -> Damage:
    return lambda raw: raw.replace(old, new, 1)


one_damage = st.one_of(
    st.builds(flipped, place, st.integers(1, 255)),
    st.builds(flipped, place, st.sampled_from([1 << bit for bit in range(8)])),
    st.builds(spliced, place, st.integers(0, 60), st.binary(max_size=4)),
    st.builds(spliced, place, st.just(10**6), st.just(b"")),
    st.builds(
        swapped,
        st.sampled_from(
            [b"F32", b"I64", b"BOOL", b"[2,6]", b"[3,4]", b"[]", b"true", b"directions", b"x", b"2", b"Sure"]
        ),
        st.sampled_from([b"I32", b"U32", b"F64", b"U8", b"[6,2]", b"[4,3]", b"[1]", b"false", b"null", b"9", b"Nope"]),
    ),
)
damages = st.lists(one_damage, min_size=1, max_size=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def damage(path: Path, how: list[Damage]) -> None:
    raw = path.read_bytes()
    for slip in how:
        raw = slip(raw) or b"\0"
    path.write_bytes(raw)


@fuzzed("a damaged plan")
@given(how=damages, asked=st.booleans())
@example(how=[swapped(b"row_norm", b"row_nor_")], asked=True)
@example(how=[swapped(b'"digest"', b'"digesT"')], asked=False)
@example(how=[swapped(b": 2,", b":{},")], asked=True)
def test_a_damaged_plan_is_refused_or_the_same(folder: Path, how: list[Damage], asked: bool) -> None:
    path = folder / "plan.safetensors"
    save_plan(PLAN, path)
    damage(path, how)
    with or_one_line():
        plan = load_plan(path, PLAN.digest if asked else None)
        assert plan.row_norm is True
        assert len(plan.rounds) == 2
        for edit_round, other in zip(plan.rounds, PLAN.rounds, strict=True):
            assert same(edit_round.directions, other.directions)
            assert same(edit_round.strengths, other.strengths)


def same(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    return tensor.dtype == other.dtype and torch.equal(tensor, other)


def damaged(folder: Path, name: str, value: Cached, how: list[Damage]) -> Path:
    """A cache file written afresh and damaged."""
    for path in folder.glob(f"{name}-*"):
        path.unlink()
    cached(folder, name, {}, lambda: value)
    (path,) = folder.glob(f"{name}-*")
    damage(path, how)
    return path


@fuzzed("a damaged cache")
@given(how=damages)
@example(how=[swapped(b"Sure", b"Nope")])
@example(how=[swapped(b"[3,4]", b"[4,3]")])
@example(how=[swapped(b"F32", b"I32")])
def test_a_damaged_cache_is_built_again_or_the_same(folder: Path, how: list[Damage]) -> None:
    damaged(folder, "a", Cached(TENSORS, VALUE), how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        read = cached(folder, "a", {}, lambda: Cached(TENSORS, VALUE))
    again = cached(folder, "a", {}, lambda: pytest.fail("what was built again was not stored"))
    for outcome in (read, again):
        assert outcome.value == VALUE
        assert outcome.tensors.keys() == TENSORS.keys()
        assert all(same(outcome.tensors[name], TENSORS[name]) for name in TENSORS)


@fuzzed("damaged base logits")
@given(how=damages)
@example(how=[swapped(b"is_first", b"is_fIrst")])
@example(how=[flipped(1.0, 4)])
def test_damaged_base_logits_are_refused_or_the_same(folder: Path, how: list[Damage]) -> None:
    path = damaged(folder, "0000", Cached(POSITIONS, None), how)
    with or_one_line():
        (stored,) = Stored([path])
        for name, tensor in POSITIONS.items():
            assert same(getattr(stored.batch if name in ("input_ids", "attention_mask") else stored, name), tensor)


@fuzzed("a damaged checkpoint")
@given(how=damages)
@example(how=[lambda _: b"\xff" * 8 + b"{}"])
@example(how=[lambda _: b"\2" + b"\0" * 7 + b"[]"])
@example(how=[swapped(b"dtype", b"dtypo")])
def test_the_places_in_a_damaged_checkpoint_are_refused_or_lie_in_it(folder: Path, how: list[Damage]) -> None:
    path = folder / "model.safetensors"
    save_file(POSITIONS, path)
    damage(path, how)
    with or_one_line():
        for place in places(path).values():
            assert 0 <= place.start <= place.end <= path.stat().st_size
            tensor = read_tensor(place)
            assert tuple(tensor.shape) == place.shape


@fuzzed("damaged responses")
@given(how=damages)
@example(how=[swapped(b"Sure", b"Nope")])
@example(how=[lambda _: b"[" * 100_000])
def test_damaged_responses_are_left_out_or_the_same(folder: Path, how: list[Damage]) -> None:
    study = optuna.create_study()
    trial = study.ask()
    store = FileSystemArtifactStore(folder)
    upload_responses(trial, RESPONSES, folder, store)
    (meta,) = get_all_artifact_meta(trial)
    assert stored_responses(trial.storage, study.get_trials()[0], store) == RESPONSES
    damage(folder / meta.artifact_id, how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert stored_responses(trial.storage, study.get_trials()[0], store) in (RESPONSES, ())


@fuzzed("damaged scores")
@given(how=damages)
@example(how=[swapped(b"0.25", b"0.35")])
@example(how=[lambda _: b"[" * 100_000])
@example(how=[lambda _: b"\xff"])
def test_damaged_scores_are_scored_again_or_the_same(folder: Path, how: list[Damage]) -> None:
    path = folder / "scores.json"
    path.unlink(missing_ok=True)
    Kept(path, "k").add(json.loads(json.dumps(ROWS)))
    damage(path, how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert Kept(path, "k").rows in (ROWS, {})
