"""The length check: a cut reply is what the shorter limit gave, and flips are counted by what they were and became."""

from __future__ import annotations

import pytest

from saber.lm.generation import Decoded
from saber.publish.checks import flips_text
from saber.scoring.refusals import Label
from saber.study.length_check import compared, cut
from saber.types import Prompt, Response


@pytest.mark.parametrize(
    ("long", "short"),
    [
        (Decoded((5, 6, 7, 8, 9), None), Decoded((5, 6, 7), None)),
        (Decoded((5, 6, 7, 8), 1), Decoded((5, 6, 7), None)),
        (Decoded((5, 6, 7), 1), Decoded((5, 6, 7), None)),  # the end itself was the fourth token
        (Decoded((5, 6), 1), Decoded((5, 6), 1)),
        (Decoded((), 1), Decoded((), 1)),
    ],
)
def test_a_cut_reply_is_what_the_shorter_limit_gave(long: Decoded, short: Decoded) -> None:
    assert cut(long, 3) == short


def responses(*labels: Label) -> list[Response]:
    return [Response(Prompt(str(i), "harmful"), "", label) for i, label in enumerate(labels)]


def test_flips_are_counted_and_rates_are_those_of_the_longer_replies() -> None:
    short = responses("truncated", "truncated", "truncated", "refuse", "comply")
    long = responses("refuse", "refuse", "degenerate", "refuse", "comply")
    found = compared(short, long, 32)
    assert found.max_new_tokens == 64
    assert found.flips == {"truncated -> degenerate": 1, "truncated -> refuse": 2}
    assert (found.n_flips, found.n) == (3, 5)
    assert found.rates["refusal_rate"].value == 3 / 5
    assert flips_text(found) == "3 of 5 labels flip (2 truncated -> refuse and 1 truncated -> degenerate)"


def test_nothing_flips_where_all_had_ended() -> None:
    same = responses("comply", "refuse")
    assert flips_text(compared(same, same, 8)) == "no label of 2 flips"
