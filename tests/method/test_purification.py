"""Purification removes exactly what it names."""

from __future__ import annotations

import torch

from saber.method.purification import remove_subspace, shared_basis


def test_nothing_is_removed_without_purification() -> None:
    x = torch.randn(5, 8)
    basis = shared_basis(x, x, purify="none", rank=3)
    assert basis.shape == (8, 0)
    assert torch.equal(remove_subspace(x, basis), x)


def test_the_harmless_mean_is_gone_afterwards() -> None:
    x, harmless = torch.randn(7, 8), torch.randn(9, 8) + 3
    basis = shared_basis(harmless, x, purify="harmless_mean", rank=1)
    clean = remove_subspace(x, basis)
    torch.testing.assert_close(clean @ harmless.mean(0), torch.zeros(7), atol=1e-4, rtol=0)


def test_the_subspace_is_the_top_of_the_uncentred_stack() -> None:
    harmless, capability = torch.randn(20, 8) + 2, torch.randn(15, 8)
    basis = shared_basis(harmless, capability, purify="subspace", rank=3)
    stack = torch.cat([harmless, capability]).double()
    _, vectors = torch.linalg.eigh(stack.T @ stack)  # an independent route to the right singular vectors
    top = vectors[:, -3:].float()
    torch.testing.assert_close(basis @ basis.T, top @ top.T, atol=1e-4, rtol=0)
    torch.testing.assert_close(basis.T @ basis, torch.eye(3), atol=1e-5, rtol=0)


def test_removing_twice_is_removing_once() -> None:
    x = torch.randn(6, 8)
    basis = shared_basis(torch.randn(9, 8), torch.randn(9, 8), purify="subspace", rank=2)
    once = remove_subspace(x, basis)
    torch.testing.assert_close(remove_subspace(once, basis), once, atol=1e-5, rtol=0)
