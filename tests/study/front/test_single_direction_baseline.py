"""The null curve is one and the same plain direction, whatever a study edits with."""

from __future__ import annotations

from pathlib import Path

import pytest

from saber.keys import config_keys, value_of, with_values
from saber.study.front.single_direction_baseline import PLAIN
from saber.study.search.space import matters
from tests.commands import configured, words_of


@pytest.mark.parametrize("preset", ["saber", "saber_seed", "kernel", "false_refusal"])
def test_the_curve_does_not_depend_on_the_study_s_edit(tmp_path: Path, preset: str) -> None:
    alphas = {"edit.alpha_base": 0.5, "edit.alpha_entangled": 0.5}
    arditi, other = (
        with_values(configured(words_of(tmp_path, tmp_path, f"edit={name}")), {**PLAIN, **alphas})
        for name in ("arditi", preset)
    )
    for key in config_keys():
        if key.startswith("edit.") and matters(key, arditi):
            assert value_of(other, key) == value_of(arditi, key), key
