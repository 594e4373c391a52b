"""What fields say of their keys: no code twice, conditions ask for what there is, steps are handed the whole edit."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import get_args

import pytest

from saber.config import EditConfig
from saber.keys import conditions, config_keys, key_type, option_of, options, value_of
from saber.options.option import BEHIND_ALL, when
from saber.study.search.names import coded, point_name
from saber.study.search.space import deciding


def test_every_key_is_listed_as_the_configuration_has_it() -> None:
    assert list(options()) == config_keys()


def test_a_condition_asks_for_keys_that_there_are() -> None:
    assert deciding() <= set(config_keys())
    assert {"edit.scope", "edit.reader", "edit.max_iterations"} < deciding()


@pytest.mark.parametrize("key", sorted(deciding() - {"edit.max_iterations"}))
def test_what_a_condition_asks_for_is_one_of_a_few_words_of_which_one_makes_a_difference(key: str) -> None:
    words = get_args(key_type(key))
    assert len(words) > 1
    path = key.removeprefix("edit.")
    edit = EditConfig()
    held = [when(path, word).holds(edit) for word in words]
    assert held.count(True) == 1
    assert words[held.index(True)] == value_of(edit, path)


def test_no_code_and_no_place_in_a_name_is_given_twice() -> None:
    said = coded().values()
    assert max(Counter(option.code for option in said).values()) == 1
    assert max(Counter(option.place for option in said if option.place < BEHIND_ALL).values()) == 1
    assert {len(str(option.per).rstrip("0")) for option in said} == {1}


def test_a_section_says_it_for_its_keys() -> None:
    tent, position = conditions("edit.kernel.mlp.peak"), conditions("edit.kernel.direction_position")
    assert len(tent) == 1
    assert position[: len(tent)] == tent
    assert len(position) == 2
    assert option_of("edit.kernel.mlp.peak").code == ""


def test_conditions_are_put_together() -> None:
    edit = EditConfig(scope="band")
    band, decays = when("scope", "band", "all"), when("decay", 0.5)
    assert [rule.holds(edit) for rule in (band, decays, band & decays, band | decays, ~band)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert (band & ~decays).asks == {"scope", "decay"}


def test_the_edit_is_the_options_of_its_steps_in_their_order() -> None:
    own = [field.name for field in fields(EditConfig)]
    of_steps = [field.name for step in reversed(EditConfig.__mro__[1:-1]) for field in fields(step)]
    assert own == [*of_steps, "norm_preserve"]
    assert len(set(own)) == len(own)


def test_codes_stand_in_the_order_of_the_published_names() -> None:
    params = {"edit.global_top_k": 14, "edit.reader_ridge": 0.1, "data.n_probe": 60, "edit.alpha_base": -0.825}
    assert point_name(params, (), 0) == "nh60_am825_g14_rr100"
