"""Points of selective sweeps: chosen by their worst miss on tune, judged by four limits on held-out prompts."""

from __future__ import annotations

from typing import Any

from selective_points import OVER, PROTECTED, UNPROTECTED, met, misses, shown


def estimate(value: float, low: float = 0.0, n: int = 100) -> dict[str, float]:
    return {"value": value, "n": n, "low": low, "high": 1.0}


def point(unprotected: float, protected: float, over: float, kld: float, lowest: float = 0.9) -> dict[str, Any]:
    drift = {f"kld_{name}": estimate(kld) for name in ("response", "first", "prompt")}
    rates = {UNPROTECTED: estimate(unprotected), PROTECTED: estimate(protected, lowest), OVER: estimate(over)}
    return rates | drift | {"capability": estimate(0.9)}


BASE = point(1.0, 0.98, 0.3, 0.0, lowest=0.93)


def test_a_miss_is_told_as_a_share_of_its_limit() -> None:
    used = misses(point(0.05, 0.95, 0.01, 0.008, lowest=0.90), BASE)
    assert [round(share, 2) for share in used] == [1.0, 0.5, 0.2, 0.8]
    lost, refusing = point(0.05, 0.90, 0.01, 0.008, lowest=0.85), point(0.12, 0.97, 0.01, 0.008, lowest=0.92)
    assert max(misses(lost, BASE)) > max(misses(refusing, BASE)) > 1


def test_the_aim_is_met_where_all_four_limits_hold() -> None:
    assert all(met(point(0.1, 0.95, 0.05, 0.01, lowest=0.9), BASE).values())
    for near in (
        point(0.11, 0.95, 0.05, 0.01),
        point(0.1, 0.95, 0.06, 0.01),
        point(0.1, 0.95, 0.05, 0.011),
        point(0.1, 0.95, 0.05, 0.01, lowest=0.89),
    ):
        assert sum(not holds for holds in met(near, BASE).values()) == 1


def test_the_table_says_what_is_missed() -> None:
    good, bad = point(0.02, 0.97, 0.0, 0.006, lowest=0.92), point(0.02, 0.9, 0.2, 0.006, lowest=0.8)
    rows = [
        {"organism": name, "report": {"base": BASE, "point": p}, "met": met(p, BASE)}
        for name, p in (("a", good), ("b", bad))
    ]
    _, _, first, second = shown(rows).splitlines()
    assert first.startswith("| a | 100.0%, 2.0% (0.0% to 100.0%) | 30.0%, 0.0% (0.0% to 100.0%) | 98/100")
    assert first.endswith("| met |")
    assert second.endswith("| missed: protected, over |")
