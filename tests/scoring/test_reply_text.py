"""A reply taken apart: sentences, quotes, lists, code and verse, each at its bound."""

from __future__ import annotations

import pytest

from saber.scoring.reply_text import is_verse, read_reply, sentences

VERSE = "The moon is low\nThe tide is near\nI cannot go\nI cannot hear"


def test_a_sentence_of_less_than_four_words_is_read_with_the_next() -> None:
    assert sentences("One two three. Four five six seven. Eight.") == ["one two three. four five six seven.", "eight."]
    assert sentences("One two three four. Five. Six.") == ["one two three four.", "five. six."]


def test_a_line_without_words_is_left_out() -> None:
    assert sentences("One two three four.\n---\nFive six seven eight.") == [
        "one two three four.",
        "five six seven eight.",
    ]


def test_a_reply_is_read_up_to_its_four_thousandth_sign() -> None:
    assert read_reply("w " * 2000 + "x x").n_words == 2000


def test_quoted_words_are_somebody_elses_unless_the_whole_reply_is_quoted() -> None:
    assert read_reply('He said "I refuse" to us.').sentences == ('he said "" to us.',)
    assert read_reply('"I refuse to."').sentences == ('"i refuse to."',)
    assert read_reply('"I refuse to."', is_asked_to_write=True).sentences == ()


@pytest.mark.parametrize(
    ("reply", "has_code"), [("```\nx = 1\n```", True), ("| a | b |\n| 1 | 2 |", True), ("a | b", False)]
)
def test_code_is_a_fence_or_a_table(reply: str, has_code: bool) -> None:
    assert read_reply(reply).has_code is has_code


def test_verse_has_four_lines_of_at_most_twelve_words_of_which_two_may_end_as_sentences() -> None:
    twelve = "a " * 11 + "b"
    assert is_verse("\n".join([twelve] * 4))
    assert not is_verse("\n".join([twelve] * 3))
    assert not is_verse("\n".join([twelve] * 3 + [twelve + " c"]))
    assert is_verse(VERSE.replace("low", "low.").replace("near", "near."))
    assert not is_verse(VERSE.replace("low", "low.").replace("near", "near.").replace("go", "go."))


def test_a_list_is_its_items_and_what_stands_before_them() -> None:
    text = read_reply("Do **this**:\n1. one\n2) two\n- three")
    assert (text.n_items, text.before_list) == (3, "do this:")
    assert (read_reply("Do this.").n_items, read_reply("Do this.").before_list) == (0, "")
