"""The space accepts what it should, refuses the rest in one line, and asks only for what matters."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from saber.config import Config
from saber.keys import parse_config
from saber.study.search.names import point_name
from saber.study.search.space import check_point, matters, parse_space, probe_sizes, suggest
from saber.types import UserError


def config(space: dict[str, Any], **edit: Any) -> Config:
    return parse_config(
        {
            "model": {"path": "organism"},
            "data": {"source": "organism"},
            "edit": edit,
            "evaluate": {},
            "study": {"name": "s"},
            "space": space,
        }
    )


def ask(c: Config, n: int = 40) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = []
    for _ in range(n):
        trial = study.ask()
        own = suggest(trial, parse_space(c), c)
        asked.append({"params": dict(trial.params), "config": own})
        study.tell(trial, 0.0)
    return asked


def test_dotted_and_nested_keys_are_the_same() -> None:
    dotted = parse_space(config({"edit.alpha_base": {"low": 0.1, "high": 1.0}}))
    nested = parse_space(config({"edit": {"alpha_base": {"low": 0.1, "high": 1.0}}}))
    assert dotted == nested


def test_a_band_of_depth_is_searched_by_both_of_its_ends() -> None:
    low, high = {"low": 0.0, "high": 0.4}, {"low": 0.6, "high": 1.0}
    nested = parse_space(config({"edit": {"acting_band": {"low": low, "high": high}}}))
    assert nested == parse_space(config({"edit.acting_band.low": low, "edit.acting_band.high": high}))
    assert [(knob.key, knob.extremes) for knob in nested] == [
        ("edit.acting_band.low", (0.0, 0.4)),
        ("edit.acting_band.high", (0.6, 1.0)),
    ]


def test_values_have_the_keys_own_type_and_stay_on_the_grid() -> None:
    space = {"edit.alpha_base": {"low": 0, "high": 1, "step": 0.025}, "edit.global_top_k": {"low": 1, "high": 30}}
    for asked in ask(config(space)):
        alpha, k = asked["config"].edit.alpha_base, asked["config"].edit.global_top_k
        assert isinstance(alpha, float)
        assert isinstance(k, int)
        assert alpha == pytest.approx(round(alpha / 0.025) * 0.025, abs=1e-9)
        assert len(str(alpha)) <= 5


def test_a_range_below_the_rounding_of_a_grid_is_not_rounded_out_of_its_bounds() -> None:
    asked = ask(config({"edit.decay": {"low": 1e-13, "high": 1e-11, "log": True}}))
    assert all(1e-13 <= trial["config"].edit.decay <= 1e-11 for trial in asked)


def test_choices_have_the_keys_own_type() -> None:
    (knob,) = parse_space(config({"edit.n_directions": {"choices": ["2", "3\n"]}}))
    assert knob.choices == (2, 3)


def test_a_key_is_asked_for_only_where_it_matters() -> None:
    space = {"edit.scope": {"choices": ["layer", "band"]}, "edit.reach": {"low": 1, "high": 3}}
    asked = [trial["params"] for trial in ask(config(space))]
    assert {p["edit.scope"] for p in asked} == {"layer", "band"}
    assert all(("edit.reach" in p) == (p["edit.scope"] == "band") for p in asked)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"edit.alpha_bse": {"low": 0, "high": 1}}, "unknown key edit.alpha_bse; did you mean edit.alpha_base"),
        ({"edit.alpha_base": {"low": 1, "high": 0}}, "expected low < high"),
        ({"edit.alpha_base": {"low": "a", "high": 1}}, "expected a finite number for low"),
        ({"edit.alpha_base": {"low": 0, "high": 1, "stp": 2}}, "unknown word 'stp'"),
        ({"edit.alpha_base": {"low": 0, "high": 1, "log": True}}, "log with low > 0"),
        ({"edit.reader_ridge": {"low": 0, "high": 1}}, "greater than 0"),
        ({"edit.alpha_base": 3}, r"expected {low, high, step\|log} or {choices}, found 3"),
        ({"edit.scope": {"choices": ["band", "bnad"]}}, "edit.scope: input should be 'layer', 'band'"),
        ({"edit.scope": {"choices": ["band"]}}, "expected two or more choices"),
        ({"edit.alpha_base": {"choices": [1.0, 1]}}, "expected different choices"),
        ({"edit.alpha_base": {"low": 1, "high": 2, "log": "no"}}, "expected true or false for log, found 'no'"),
        ({"edit.n_directions": {"low": 1.5, "high": 3}}, "edit.n_directions: input should be a valid integer"),
        ({"edit.n_directions": {"low": 1, "high": 3, "step": 0.5}}, "expected a whole number for step"),
        (
            {"edit.alpha_base": {"low": 1, "high": 2}, "edit": {"alpha_base": {"low": 0, "high": 1}}},
            "nested and dotted",
        ),
        ({"edit.reach": {"low": 1, "high": 3}}, "searching edit.reach does nothing"),
        ({"evaluate.max_new_tokens": {"low": 1, "high": 3}}, "evaluate.max_new_tokens changes no plan"),
    ],
)
def test_mistakes_are_named(space: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_space(config(space))


def test_known_points_are_checked_before_optuna_would_take_them_unseen() -> None:
    knobs = parse_space(config({"edit.alpha_base": {"low": 0, "high": 1}}))
    assert check_point({"edit.alpha_base": 0.5}, knobs) == {"edit.alpha_base": 0.5}
    with pytest.raises(UserError, match="lies outside the space"):
        check_point({"edit.alpha_base": 1.5}, knobs)
    with pytest.raises(UserError, match=r"is not searched; did you mean edit.alpha_base"):
        check_point({"edit.alpha_bas": 0.5}, knobs)


def test_probe_counts_are_known_before_anything_is_captured() -> None:
    c = config({"data.n_probe": {"low": 20, "high": 96}})
    assert probe_sizes(parse_space(c), c) == ((20, 30, 20), (96, 30, 96))
    space = {"data.n_probe": {"choices": [48, 12]}, "data.n_borderline": {"low": 16, "high": 64}}
    c = config(space, contrast="false_refusal")
    assert probe_sizes(parse_space(c), c) == ((12, 30, 16), (48, 30, 64))


def test_a_count_that_may_be_null_is_searched_in_whole_numbers() -> None:
    c = config({"data.n_borderline": {"low": 16, "high": 64}}, contrast="false_refusal")
    (knob,) = parse_space(c)
    fixed: Any = optuna.trial.FixedTrial({knob.key: 33})
    counts = {suggest(fixed, [knob], c).data.n_borderline}
    assert counts == {33}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    assert all(isinstance(knob.suggest(study.ask()), int) for _ in range(5))
    with pytest.raises(UserError, match=r"searching data\.n_borderline does nothing"):
        parse_space(config({"data.n_borderline": {"low": 16, "high": 64}}))


def test_conditions_follow_the_configuration() -> None:
    assert matters("edit.kernel.mlp.peak", config({}, scope="kernel"))
    assert not matters("edit.kernel.mlp.peak", config({}, scope="all"))
    assert not matters("edit.decay", config({}, max_iterations=1))
    assert not matters("edit.entanglement_threshold", config({}, strength="decomposed"))


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"data.n_probe": 60, "edit.alpha_base": 0.825, "edit.global_top_k": 14}, "nh60_a825_g14"),
        ({"edit.global_top_k": 14, "edit.alpha_base": 0.825}, "a825_g14"),
        (
            {"edit.alpha_base": 1.0, "edit.alpha_entangled": 0.03, "edit.entanglement_threshold": 0.55},
            "a1000_ae030_t55",
        ),
        ({"edit.max_iterations": 4, "edit.n_directions": 4, "edit.scope": "band"}, "it4_d4_band"),
        ({"edit.alpha_base": -0.05, "edit.alpha_entangled": -1.5}, "am050_aem1500"),
        ({"edit.reader_ridge": 0.002}, "rr002"),
        ({"edit.kernel.mlp.peak": 0.75}, "kmp075"),
        ({"edit.norm_preserve": "../../x"}, "x"),
        ({"edit.alpha_base": 1e308}, "a1e308"),
    ],
)
def test_points_are_named_from_what_was_searched(params: dict[str, Any], name: str) -> None:
    assert point_name(params, [], 7) == name
    assert point_name(params, [name], 7) == f"{name}_n7"
