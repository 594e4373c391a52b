"""The two entry points that take words of their own, given odd ones."""

from __future__ import annotations

import contextlib
import io
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saber.evaluate import power
from saber.organism.__main__ import organism
from saber.organism.build import Recipe
from saber.reproduce import reproduce
from saber.vocabulary import ORGANISM_FAMILIES
from tests.fuzz import fuzzed, odd_number, odd_text, or_one_line

spelt = st.one_of(odd_text, odd_number.map(str), st.floats(0, 1).map(str), st.text("0123456789²٣"))


@fuzzed("a half width")
@given(words=st.lists(st.one_of(spelt.map("half_width={}".format), odd_text), max_size=2))
@example(words=["half_width=1e-300"])
@example(words=["half_width=1e-12"])
@example(words=["half_width=0.9999999999999999"])
def test_any_half_width(words: list[str]) -> None:
    with or_one_line(), contextlib.redirect_stdout(io.StringIO()):
        power(words)


@fuzzed("the words of an organism")
@given(
    words=st.one_of(
        st.lists(st.one_of(spelt.map("seed={}".format), odd_text.map("out={}".format), odd_text), max_size=3),
        spelt.map(lambda seed: ["out=x", f"seed={seed}"]),
    )
)
@example(words=["out=x", "seed=²"])
@example(words=["out=x", "seed=1", "family=qwen3"])
@example(words=["out=x", "seed=1", "family=qwen"])
@example(words=["out=x", "seed=1", "thinks=true"])
@example(words=["out=x", "seed=1", "thinks=1"])
@example(words=["out=x", "seed=" + "9" * 4400])
def test_any_words_for_an_organism(words: list[str]) -> None:
    recipes: list[Recipe] = []
    take = mock.patch("saber.organism.build.make_organism", lambda _out, recipe: recipes.append(recipe))
    with take, or_one_line(), contextlib.redirect_stdout(io.StringIO()):
        organism(words)
    assert all(0 <= recipe.seed < 10**18 and recipe.family in ORGANISM_FAMILIES for recipe in recipes)


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    organism(["--help"])
    assert reproduce(["-h"])
    written, again = capsys.readouterr().out.splitlines()
    assert written.startswith("usage: python -m saber.organism out=<folder> seed=<whole number>")
    assert again == "usage: python -m saber.reproduce <folder> [base=<folder or hub id>]"
