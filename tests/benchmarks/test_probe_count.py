"""What the number of probes moves: orders are paired, organisms resampled."""

from __future__ import annotations

from typing import Any

import pytest
from probe_count import figure, moved, shown


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Three organisms, two orders; 128 probes refuse .1 more than 24 on each, whatever the order."""
    return [
        {
            "organism": f"seed{i}", "order": order, "n_probe": n, "layers": [2, 3 + order],
            "turned": None if n == 24 and order else 10.0 * (n == 24),
            "refusal_rate": 0.2 * order + 0.1 * (n == 128), "kld_response": 0.01 * i, "kld_first": 0.1,
        }
        for i in range(3) for order in (0, 1) for n in (24, 128)
    ]  # fmt: skip


def test_the_table_has_means_and_spreads_over_orders(rows: list[dict[str, Any]]) -> None:
    lines = shown(rows).splitlines()
    assert lines[2].startswith("| seed0 | 24 | 2(2) 3(1) 4(1) | 10.0 ± .0 | .100 ± .141 |")
    assert len(lines) == 2 + 6


def test_what_moved_is_paired_by_order(rows: list[dict[str, Any]]) -> None:
    assert moved(rows).startswith("128 probes minus 24: refusal_rate .100 (.100 to .100), kld_response .0000")


def test_the_figure_has_a_line_an_order_and_their_mean(rows: list[dict[str, Any]]) -> None:
    drawn = figure(rows)
    assert len(drawn.data) == 2 * 3 * (2 + 1)
    assert list(drawn.data[2].y) == pytest.approx([0.1, 0.2])
