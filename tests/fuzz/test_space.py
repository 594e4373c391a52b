"""Spaces of odd ranges, choices and keys: every value that is asked for is one that its key allows."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saber.keys import config_keys, key_type, parse_config, value_of
from saber.study.run.driver import wanted_trials
from saber.study.search.names import point_name
from saber.study.search.samplers import make_sampler
from saber.study.search.space import check_point, parse_space, suggest
from saber.types import UserError
from tests.fuzz import deep, fuzzed, nested, odd_number, odd_scalar, odd_text, or_one_line
from tests.fuzz.test_config import BASE

SEARCHED = sorted(key for key in config_keys() if key.startswith(("edit.", "data.n_")))
OPTIONS = ["svd", "dim", "none", "subspace", "row", "layer", "band", "kernel", "global", "per_layer", "top_k", "all"]
number = st.one_of(
    st.integers(0, 40), st.floats(0, 1), st.sampled_from([1e-12, 1e300, 0.1, "2", "3\n", 1.0]), odd_number
)
choices = st.fixed_dictionaries(
    {"choices": st.lists(st.one_of(number, st.sampled_from(OPTIONS), odd_scalar), max_size=4)}
)
ranges = st.fixed_dictionaries(
    {"low": number, "high": number},
    optional={"step": number, "log": st.one_of(st.booleans(), odd_scalar), "choices": st.just([1, 2]), "stp": number},
)
keys = st.one_of(st.sampled_from(SEARCHED), st.sampled_from(["evaluate.batch_size", "edit", "study.seed"]), odd_text)
spaces = st.dictionaries(keys, st.one_of(ranges, choices, nested(odd_scalar, keys, 4)), max_size=3)
edits = st.sampled_from([{}, {"scope": "band"}, {"scope": "kernel"}, {"purify": "subspace"}, {"max_iterations": 1}])


@fuzzed("a space")
@given(spaces, edits, st.sampled_from(["random", "tpe"]), st.integers(0, 2**63 - 1))
@example({"edit.decay": {"low": 1e-13, "high": 1e-11, "log": True}}, {}, "random", 0)
@example({"edit.n_directions": {"low": 1.5, "high": 2.9}}, {}, "random", 0)
@example({"edit.n_directions": {"low": 1, "high": 2, "step": 0.5}}, {}, "random", 0)
@example({"edit.alpha_base": {"low": 1, "high": 2, "log": "no"}}, {}, "random", 0)
@example({"edit.alpha_base": {"choices": [1.0, 1]}}, {}, "random", 0)
@example({"edit.alpha_base": {"low": 0, "high": 1}, "edit": {"alpha_base": {"low": 0, "high": 2}}}, {}, "random", 0)
@example({"edit.n_directions": {"choices": ["2", "3\n"]}}, {}, "random", 0)
@example({"edit.alpha_base": {"low": 1, "high": 1e308}}, {}, "random", 0)
@example({"edit.alpha_base": {"low": 0.1, "high": 0.3, "step": 0.2}}, {}, "random", 4295)
def test_any_space(space: dict[Any, Any], edit: dict[str, Any], sampler: str, seed: int) -> None:
    with or_one_line():
        config = parse_config(
            {**BASE, "space": space, "edit": edit, "study": {"name": "s", "seed": seed, "sampler": sampler}}
        )
        knobs = parse_space(config)
        study = optuna.create_study(sampler=make_sampler(config.study, 3, 60, 4))
        for _ in range(3):
            trial = study.ask()
            with warnings.catch_warnings():  # Optuna says that a step does not divide a range
                warnings.simplefilter("ignore", UserWarning)
                try:
                    own = suggest(trial, knobs, config)
                except UserError as error:
                    pytest.fail(f"accepted, but then: {error}")
            for knob in knobs:
                if knob.key in trial.params:
                    value = value_of(own, knob.key)
                    assert type(value) is key_type(knob.key) or isinstance(value, str)
                    assert knob.holds(value)
            check_point(trial.params, knobs)
            check_name(point_name(trial.params, [], trial.number))


def check_name(name: str) -> None:
    """It names a folder below another one, and nothing else."""
    assert name.replace("_", "").isascii()
    assert name.replace("_", "").isalnum()
    assert Path("outputs", name).resolve().parent == Path("outputs").resolve()
    assert len(name) <= 120


@fuzzed("the name of a point")
@given(
    st.dictionaries(
        st.sampled_from(SEARCHED),
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**63), st.sampled_from(OPTIONS), odd_text
        ),
        max_size=40,
    ),
    st.integers(0, 10**9),
)
def test_any_point_has_a_name_for_a_folder(params: dict[str, Any], trial: int) -> None:
    typed = {
        key: value for key, value in params.items() if isinstance(value, str) == (key_type(key) not in (int, float))
    }
    name = point_name(typed, [], trial)
    check_name(name)
    again = point_name(typed, [name], trial)
    check_name(again)
    assert again != name


@fuzzed("a number of trials")
@given(st.one_of(st.integers(-2, 2**63 - 1), odd_text, st.from_regex(r"\+?-?[0-9٣]{1,30}")))
@example("+" + "9" * 5000)
def test_any_number_of_trials(n_trials: int | str) -> None:
    study = optuna.create_study()
    with or_one_line():
        config = parse_config({**BASE, "study": {"name": "s", "n_trials": n_trials}})
        assert 1 <= wanted_trials(study, config.study.n_trials) < 2**63


def test_many_choices_take_no_time() -> None:
    many = {"choices": [i / 200 for i in range(200)]}
    started = time.monotonic()
    knobs = parse_space(
        parse_config(
            {
                **BASE,
                "space": {f"edit.{name}": many for name in ("alpha_base", "alpha_entangled", "decay", "tolerance")}
                | {"edit.decay": {"choices": [0.1, 0.2]}},
            }
        )
    )
    assert len(knobs) == 4
    assert time.monotonic() - started < 30  # their product has 16 million settings


def test_nesting_without_end_is_one_line() -> None:
    with pytest.raises(UserError, match="expected at most 32 levels"):
        parse_config({**BASE, "space": deep(3000, {"low": 0, "high": 1})})
