"""Out of memory at any call: fewer trials, then fewer rows; said; and what is measured is the same."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saber.config import Config
from saber.keys import with_values
from saber.lm.inference.oom import OutOfMemory, Room, with_fewer_rows, within_memory
from saber.study.context import Workbench, open_workbench
from saber.study.run.evaluator import evaluate
from saber.study.trial_result import TrialResult
from saber.types import UserError
from tests.commands import configured, words_of

CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1.00 GiB"
CPU = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
ERRORS = [torch.OutOfMemoryError(CUDA), RuntimeError(CPU), MemoryError()]
SMALL = ["evaluate.max_new_tokens=4", "evaluate.batch_size=16", "evaluate.n_bootstrap=100"]


@pytest.fixture(scope="module")
def bench(organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return open_workbench(configured(words_of(organism_folder, tmp_path_factory.mktemp("memory"), *SMALL)))


@pytest.fixture(scope="module")
def configs(bench: Workbench) -> list[Config]:
    return [with_values(bench.config, {"edit.alpha_base": alpha}) for alpha in (0.2, 0.7, 1.0)]


@pytest.fixture(scope="module")
def plain(bench: Workbench, configs: list[Config]) -> list[TrialResult]:
    return evaluate(bench, configs)


class Short:
    """A hook that raises before some of the model's passes, or before all that are too large."""

    def __init__(self, fails: Any) -> None:
        self.fails = fails
        self.n_passes = 0

    def __call__(self, _module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        error = self.fails(self.n_passes, len(kwargs["input_ids"]))
        self.n_passes += 1
        if error is not None:
            raise error


@pytest.fixture
def short(bench: Workbench) -> Iterator[Any]:
    hooks = []

    def put(fails: Any) -> Short:
        hook = Short(fails)
        hooks.append(bench.adapter.model.register_forward_pre_hook(hook, with_kwargs=True))
        return hook

    yield put
    for hook in hooks:
        hook.remove()


def same(results: list[TrialResult], plain_results: list[TrialResult]) -> None:
    for result, plain_result in zip(results, plain_results, strict=True):
        assert result.planned is not None
        assert plain_result.planned is not None
        assert result.measured is not None
        assert plain_result.measured is not None
        assert result.planned.plan.edited_layers == plain_result.planned.plan.edited_layers
        answers = [(r.prompt, r.text, r.label) for r in result.measured.responses]
        assert answers == [(r.prompt, r.text, r.label) for r in plain_result.measured.responses]
        for name, estimate in result.measured.metrics.estimates.items():
            assert estimate.value == pytest.approx(plain_result.measured.metrics[name], rel=1e-3, abs=1e-5), name
        assert result.measured.metrics.protocol == plain_result.measured.metrics.protocol


@pytest.mark.parametrize("seed", range(4))
def test_at_a_random_pass_the_batch_is_halved_and_the_results_are_the_same(
    bench: Workbench, configs: list[Config], plain: list[TrialResult], short: Any, seed: int
) -> None:
    chance = random.Random(seed)
    error, at = chance.choice(ERRORS), chance.randrange(12)
    short(lambda n, _rows: error if n == at else None)
    said: list[str] = []
    room = Room(4, 16, said.append)
    same(evaluate(bench, configs, room=room), plain)
    assert said == ["out of memory: going on with 1 trial and evaluate.batch_size=16 at once"]
    assert (room.trials, room.rows) == (1, 16)


def test_trials_are_halved_first_and_then_rows(
    bench: Workbench, configs: list[Config], plain: list[TrialResult], short: Any
) -> None:
    hook = short(lambda _n, rows: torch.OutOfMemoryError(CUDA) if rows > 5 else None)
    said: list[str] = []
    room = Room(3, 16, said.append)
    same(evaluate(bench, configs, room=room), plain)
    assert [line.split("with ")[1] for line in said] == [
        "1 trial and evaluate.batch_size=16 at once",
        "1 trial and evaluate.batch_size=8 at once",
        "1 trial and evaluate.batch_size=4 at once",
    ]
    n_passes = hook.n_passes
    evaluate(bench, configs[:1], room=room)
    assert len(said) == 3  # what ran out of memory is not tried again
    assert hook.n_passes > n_passes


def test_a_trial_that_does_not_fit_alone_fails_with_the_reason_and_the_others_do_not(
    bench: Workbench, configs: list[Config], plain: list[TrialResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    from saber.study.run import evaluator

    plan_trials = evaluator.plan_trials

    def planned(bench: Workbench, batch: list[Config], rows: int | None = None) -> Any:
        if any(config.edit.alpha_base == 0.7 for config in batch):
            raise torch.OutOfMemoryError(CUDA)
        return plan_trials(bench, batch, rows)

    monkeypatch.setattr(evaluator, "plan_trials", planned)
    room = Room(3, 16, lambda _: None)
    first, broken, last = evaluate(bench, configs, room=room)
    same([first, last], [plain[0], plain[2]])
    assert broken.failure is not None
    assert broken.failure.startswith("one row of this trial alone: CUDA out of memory")
    assert room.rows == 16


def test_another_error_is_not_taken_for_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        within_memory(lambda: (_ for _ in ()).throw(RuntimeError("shapes differ")))


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 64), fits=st.integers(0, 64))
def test_rows_are_halved_until_they_fit(rows: int, fits: int) -> None:
    def action(n: int) -> int:
        if n > fits:
            raise torch.OutOfMemoryError(CUDA)
        return n

    with mock.patch.object(gc, "collect"):  # of the whole process, at every halving: another test sees that it is done
        if fits == 0:
            with pytest.raises(UserError, match="expected room for one prompt at a time, found: CUDA out of memory"):
                with_fewer_rows(action, rows, lambda _: None)
        else:
            fitted = with_fewer_rows(action, rows, lambda _: None)
            assert fitted <= fits
            assert fitted == rows or fitted * 2 + 1 > fits


def test_the_memory_is_given_back_before_it_is_tried_again() -> None:
    import weakref

    held: list[Any] = []

    def action() -> None:
        big = torch.ones(10)
        held.append(weakref.ref(big))
        raise torch.OutOfMemoryError(CUDA)

    with pytest.raises(OutOfMemory):
        within_memory(action)
    assert held[0]() is None
