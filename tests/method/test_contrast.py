"""False refusals are told from answers, wholly or partly outside true refusal; readers spare whom they should."""

from __future__ import annotations

import typing
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saber.method.contrast import contrasted, spared, without_part
from saber.method.ranking import rank
from saber.method.readers import least_drift
from saber.options.ranking_options import RankingOptions
from saber.options.reading_options import ReadingOptions
from saber.types import Activations
from saber.vocabulary import Extraction, Purification, Spares

D = 12
E = torch.eye(D)
SPARED = typing.get_args(Spares)
IS_REFUSED = torch.tensor([True, False, False] * 8)
IS_PROTECTED = torch.tensor([True, False, False, False] * 6)


def seen(*, with_borderline: bool = True) -> Activations:
    """Harm is along axis 0, protected harm along 3 too; refused borderline prompts are off by 0 and 1, all share 2."""
    draw = torch.Generator().manual_seed(0)
    harmful, harmless, capability, borderline = (
        0.1 * torch.randn(2, 24, D, generator=draw) + 3 * E[2] for _ in range(4)
    )
    harmful = harmful + 5 * E[0]
    borderline[:, IS_REFUSED] += 2 * E[0] + E[1]
    harmful[:, IS_PROTECTED] += 3 * E[3]
    if not with_borderline:
        return Activations(harmful, harmless, capability)
    return Activations(harmful, harmless, capability, borderline, IS_REFUSED, IS_PROTECTED)


@pytest.mark.parametrize("purify", ["none", "harmless_mean"])
@pytest.mark.parametrize("extraction", ["dim", "lda", "svd", "whitened_svd"])
def test_a_false_refusal_direction_is_what_is_left_beside_true_refusal(
    extraction: Extraction, purify: Purification
) -> None:
    activations = seen()
    ranking = rank(
        activations,
        RankingOptions(
            contrast="false_refusal",
            extraction=extraction,
            n_directions=2,
            purify=purify,
            purify_rank=2,
            n_capability_directions=2,
        ),
    )
    for layer in range(2):
        best = ranking.directions[layer][0].direction.vector
        true = activations.harmful[layer].mean(dim=0) - activations.harmless[layer].mean(dim=0)
        assert abs(float(best @ true)) < 1e-3 * float(true.norm())
        assert float(best[1]) > 0.8


def test_refusal_compares_the_pairs() -> None:
    activations = seen()
    between = contrasted(activations, "refusal")
    assert between.is_paired
    assert between.refused is activations.harmful
    assert between.answered is activations.harmless


def test_a_share_of_true_refusal_stays_in_a_false_refusal_direction() -> None:
    activations = seen()
    true = [activations.harmful[layer].mean(dim=0) - activations.harmless[layer].mean(dim=0) for layer in range(2)]
    left = []
    for share in (0.0, 0.5, 1.0):
        ranking = rank(
            activations,
            RankingOptions(
                contrast="false_refusal",
                outside_refusal=share,
                extraction="dim",
                n_directions=1,
                purify="none",
                n_capability_directions=2,
            ),
        )
        left.append([float(ranking.directions[i][0].direction.vector @ true[i] / true[i].norm()) for i in range(2)])
    for layer in range(2):
        whole, half, none = (cosines[layer] for cosines in left)
        assert whole > 0.8  # two parts of axis 0 to one of axis 1
        assert whole > half + 0.1
        assert half > none + 0.1


@given(st.floats(0, 1), st.integers(0, 2**16))
def test_a_share_of_a_direction_is_taken_out_and_nothing_else(share: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    x, direction = torch.randn(7, D, generator=draw).double(), torch.randn(D, generator=draw).double()
    left = without_part(x, direction, share)
    torch.testing.assert_close(left @ direction, (1 - share) * (x @ direction))
    unit = direction / direction.norm()
    across = torch.eye(D, dtype=torch.double) - torch.outer(unit, unit)
    torch.testing.assert_close(left @ across, x @ across)
    assert without_part(x, torch.zeros(D).double(), share) is x
    torch.testing.assert_close(without_part(1e-5 * x, 1e-5 * direction, share), 1e-5 * left, rtol=1e-6, atol=0)
    nothing = torch.zeros(2, D)
    assert without_part(nothing, torch.zeros(D), share) is nothing


def test_whom_a_reader_spares() -> None:
    activations = seen()
    sizes = {spares: [rows.shape[1] for rows in spared(activations, "false_refusal", spares)] for spares in SPARED}
    assert sizes == {
        "harmless": [24, 24],
        "answered": [24, 24, 16],
        "harmful": [24],
        "harmful_and_answered": [24, 16],
        "protected_and_answered": [1, 16],
    }
    assert spared(activations, "refusal", "harmful_and_answered")[1] is activations.harmless


@pytest.mark.parametrize("spares", ["harmful", "harmful_and_answered"])
def test_a_reader_that_spares_harmful_prompts_reads_little_in_them(spares: Spares) -> None:
    activations = seen()
    r = (E[1] + E[0])[None] / 2**0.5
    reads = [
        least_drift.readers(
            r, [x[0] for x in spared(activations, "false_refusal", whom)], ReadingOptions(reader_ridge=0.1)
        )[0]
        for whom in ("harmless", spares)
    ]
    disturbed = [float((activations.harmful[0] @ z).abs().mean() / (r[0] @ z)) for z in reads]
    assert disturbed[1] < 0.3 * disturbed[0]


def test_of_protected_prompts_the_mean_alone_is_spared() -> None:
    """A reader leaves what they have in common, and not how they differ from each other."""
    activations = seen()
    draw = torch.Generator().manual_seed(1)
    spread = torch.zeros(24, 1)
    spread[IS_PROTECTED] = 4 * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]).unsqueeze(1)
    activations.harmful[:] += spread * E[1] + 0.01 * torch.randn(activations.harmful.shape, generator=draw)
    r = (E[0] + E[1] + E[5])[None] / 3**0.5
    read = {
        spares: least_drift.readers(
            r, [x[0] for x in spared(activations, "false_refusal", spares)], ReadingOptions(reader_ridge=0.1)
        )[0]
        for spares in ("harmful_and_answered", "protected_and_answered")
    }
    protected = activations.harmful[0, IS_PROTECTED]
    for z in read.values():
        assert abs(float(protected.mean(dim=0) @ z)) < 0.2 * float(protected.mean(dim=0) @ r[0])
    spread_read = {spares: float((protected @ z / (r[0] @ z)).std()) for spares, z in read.items()}
    assert spread_read["protected_and_answered"] > 3 * spread_read["harmful_and_answered"]


@pytest.mark.parametrize("marks", [None, torch.zeros_like(IS_PROTECTED)])
def test_somebody_must_be_protected(marks: torch.Tensor | None) -> None:
    unmarked = replace(seen(), is_protected=marks)
    with pytest.raises(ValueError, match="expected protected harmful prompts"):
        spared(unmarked, "false_refusal", "protected_and_answered")


def test_without_borderline_prompts_there_are_no_false_refusals() -> None:
    with pytest.raises(ValueError, match="activations of borderline prompts"):
        contrasted(seen(with_borderline=False), "false_refusal")
    with pytest.raises(ValueError, match="activations of borderline prompts"):
        contrasted(replace(seen(), is_refused=None), "false_refusal")


def test_a_smaller_probe_set_keeps_its_own_labels() -> None:
    small = contrasted(seen().first(9, 4, 9), "false_refusal")
    assert (small.refused.shape[1], small.answered.shape[1]) == (3, 6)
    fewer = seen().first(9, 4, 6)
    assert fewer.is_protected is not None
    assert fewer.is_protected.tolist() == IS_PROTECTED[:9].tolist()
    assert contrasted(fewer, "false_refusal").answered.shape[1] == 4
