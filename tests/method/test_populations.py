"""Whose inputs refusal is taken from and whose are left alone: as the configuration says, of the first probes only."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saber.method.populations import populations
from saber.options.reading_options import InputsConfig, ReadingOptions
from saber.types import LookedAt, PromptKind, TokenRow

KINDS: tuple[PromptKind, ...] = ("harmful", "harmless", "borderline", "capability")
N = 6
PROTECTED = torch.tensor([True, False, False] * 2)
REFUSED = torch.tensor([True, False] * 3)


def rows() -> LookedAt:
    ends = [TokenRow(kind, i, (1, 2), (1,)) for kind in KINDS for i in range(N)]
    replies = [TokenRow(kind, i, (1, 2, 3, 4), (2, 3), is_reply=True) for kind in KINDS for i in range(N)]
    return LookedAt((*ends, *replies))


def named(numbers: torch.Tensor) -> set[tuple[str, int, int]]:
    """(kind, number of the prompt, place in the reply) of rows."""
    looked_at = rows()
    return {
        (KINDS[int(looked_at.kind[i])], int(looked_at.prompt[i]), int(looked_at.place_in_reply[i])) for i in numbers
    }


def named_populations(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "sizes": (N, N, N),
        "contrast": "refusal",
        "spares": "harmless",
        "protects": "categories",
        "replies": 2,
    }
    given |= changes
    shared_out = populations(
        rows(),
        sizes=given["sizes"],
        contrast=given["contrast"],
        options=ReadingOptions(
            spares=given["spares"], protects=given["protects"], inputs=InputsConfig(replies=given["replies"])
        ),
        is_protected=PROTECTED,
        is_refused=REFUSED,
    )
    return {
        "taken": named(shared_out.taken),
        "answered": named(shared_out.answered),
        "spared": [named(population) for population in shared_out.spared],
        "kept": [named(population) for population in shared_out.kept],
        "weights": shared_out.weights(7.0),
    }


def ends(kind: str, numbers: Any = range(N)) -> set[tuple[str, int, int]]:
    return {(kind, i, 0) for i in numbers}


def replies(kind: str, numbers: Any = range(N), n: int = 2) -> set[tuple[str, int, int]]:
    return {(kind, i, place) for i in numbers for place in range(1, n + 1)}


def test_rows_at_prompts_come_first() -> None:
    looked_at = rows()
    assert looked_at.n_rows == 3 * looked_at.n_prompts == 12 * N
    assert not looked_at.place_in_reply[: looked_at.n_prompts].any()
    assert bool((looked_at.place_in_reply[looked_at.n_prompts :] > 0).all())


def test_protected_refusals_are_kept_with_what_was_said() -> None:
    drawn = named_populations()
    assert drawn["taken"] == ends("harmful", [1, 2, 4, 5])
    assert drawn["answered"] == ends("harmless")
    assert drawn["spared"] == [ends("harmless"), ends("capability"), replies("harmless") | replies("capability")]
    assert drawn["kept"] == [ends("harmful", [0, 3]), replies("harmful", [0, 3])]
    assert drawn["weights"] == [1.0, 1.0, 1.0, 7.0, 7.0]


def test_they_are_taken_away_as_well_where_nothing_is_protected() -> None:
    drawn = named_populations(protects="none")
    assert drawn["taken"] == ends("harmful")
    assert drawn["kept"] == []


def test_answered_borderline_prompts_are_spared_and_refused_ones_taken() -> None:
    drawn = named_populations(spares="answered", protects="none")
    assert drawn["taken"] == ends("harmful") | ends("borderline", [0, 2, 4])
    assert ends("borderline", [1, 3, 5]) in drawn["spared"]
    assert replies("borderline", [1, 3, 5]) < drawn["spared"][-1]


@pytest.mark.parametrize(
    ("spares", "kept"), [("harmless", [0, 3]), ("harmful", range(N)), ("protected_and_answered", [0, 3])]
)
def test_of_false_refusals_harmful_prompts_are_never_taken(spares: str, kept: Any) -> None:
    drawn = named_populations(contrast="false_refusal", spares=spares)
    assert drawn["taken"] == ends("borderline", [0, 2, 4])
    assert drawn["answered"] == ends("borderline", [1, 3, 5])
    assert drawn["kept"][0] == ends("harmful", kept)


def test_a_smaller_probe_set_and_fewer_positions_are_prefixes() -> None:
    drawn = named_populations(sizes=(2, 3, 4), replies=1, spares="answered")
    assert drawn["taken"] == ends("harmful", [1]) | ends("borderline", [0, 2])
    assert drawn["spared"][:2] == [ends("harmless", range(2)), ends("capability", range(3))]
    assert drawn["spared"][2] == ends("borderline", [1, 3])
    assert drawn["spared"][3] == replies("harmless", range(2), 1) | replies("capability", range(3), 1) | replies(
        "borderline", [1, 3], 1
    )
    assert named_populations(replies=0)["spared"] == [ends("harmless"), ends("capability")]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"edit\.contrast=false_refusal with edit\.spares=harmful, found refusal"):
        named_populations(spares="harmful")
    with pytest.raises(ValueError, match="all are to be kept"):
        named_populations(sizes=(1, 2, 2))
