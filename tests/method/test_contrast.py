"""False refusals are told from answers outside what refuses harmful prompts; the default contrast is the old one."""

from __future__ import annotations

import pytest
import torch

from saber.method.contrast import contrasted, with_direction
from saber.method.ranking import rank
from saber.method.reading import least_drift_readers
from saber.types import Activations

D = 12
E = torch.eye(D)
IS_REFUSED = torch.tensor([True, False, False] * 8)


def seen(*, with_borderline: bool = True) -> Activations:
    """Harm lies along axis 0; refused borderline prompts are off by axes 0 and 1, all prompts share axis 2."""
    draw = torch.Generator().manual_seed(0)
    harmful, harmless, capability, borderline = (
        0.1 * torch.randn(2, 24, D, generator=draw) + 3 * E[2] for _ in range(4)
    )
    harmful = harmful + 5 * E[0]
    borderline[:, IS_REFUSED] += 2 * E[0] + E[1]
    if not with_borderline:
        return Activations(harmful, harmless, capability)
    return Activations(harmful, harmless, capability, borderline, IS_REFUSED)


@pytest.mark.parametrize("purify", ["none", "harmless_mean"])
@pytest.mark.parametrize("extraction", ["dim", "lda", "svd", "whitened_svd"])
def test_a_false_refusal_direction_is_what_is_left_beside_true_refusal(extraction: str, purify: str) -> None:
    activations = seen()
    found = rank(
        activations,
        contrast="false_refusal",
        extraction=extraction,
        n_directions=2,
        purify=purify,
        purify_rank=2,
        folds=1,
        n_capability_directions=2,
    )
    for layer in range(2):
        best = found.directions[layer][0].direction.vector
        true = activations.harmful[layer].mean(dim=0) - activations.harmless[layer].mean(dim=0)
        assert abs(float(best @ true)) < 1e-3 * float(true.norm())
        assert float(best[1]) > 0.8


def test_refusal_compares_the_pairs() -> None:
    activations = seen()
    between = contrasted(activations, "refusal")
    assert between.is_paired
    assert between.refused is activations.harmful
    assert between.answered is activations.harmless


def test_harmful_prompts_are_left_alone_only_where_false_refusals_are_looked_for() -> None:
    activations = seen()
    assert len(contrasted(activations, "refusal").undisturbed) == 2
    populations = contrasted(activations, "false_refusal").undisturbed
    one = (E[1] + E[0])[None] / 2**0.5
    reads = [least_drift_readers(one, [x[0] for x in some], ridge=0.1)[0] for some in (populations[:2], populations)]
    disturbed = [float((activations.harmful[0] @ z).abs().mean() / (one[0] @ z)) for z in reads]
    assert disturbed[1] < 0.3 * disturbed[0]


def test_without_borderline_prompts_there_are_no_false_refusals() -> None:
    with pytest.raises(ValueError, match="activations of borderline prompts"):
        contrasted(seen(with_borderline=False), "false_refusal")


def test_a_smaller_probe_set_keeps_its_own_labels() -> None:
    small = contrasted(seen().first(9, 4), "false_refusal")
    assert (small.refused.shape[1], small.answered.shape[1]) == (3, 6)


def test_a_basis_is_widened_by_what_it_lacks() -> None:
    widened = with_direction(E[:, :2], E[1] + E[3])
    torch.testing.assert_close(widened, E[:, [0, 1, 3]])
    assert with_direction(E[:, :2], E[1]).shape == (D, 2)
