"""A synthetic study: sixty seeded trials with a plausible trade-off, a base, a null curve and published rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from saber.types import (
    CurvePoint,
    DirectionRow,
    Estimate,
    Frontier,
    FrontierPoint,
    Metrics,
    Objective,
    PublishedRow,
    SplitName,
)

PROTOCOL = "5f0c1d2e3a4b"
N_TRIALS = 60
N_LAYERS = 24
CATEGORIES = ("theft", "fraud", "poisoning", "trespass")


def rate(p: float, n: int) -> Estimate:
    """A counted rate with its Wilson interval."""
    hits, z = round(min(1.0, max(0.0, p)) * n), 1.96
    p = hits / n
    centre, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Estimate(p, n, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def drift(value: float, n: int = 79) -> Estimate:
    """A mean KL with an interval of a plausible width."""
    return Estimate(value, n, 0.82 * value, 1.22 * value)


def metrics(refusal: float, kld: float, rng: np.random.Generator, split: SplitName = "tune") -> Metrics:
    """What a measurement of such a model would hold."""
    n = 49 if split == "tune" else 120
    estimates = {
        "refusal_rate": rate(refusal, n),
        "kld": drift(kld),
        "kld_response": drift(kld),
        "kld_first": drift(0.6 * kld),
        "kld_prompt": drift(1.3 * kld),
        "kld_median": Estimate(0.6 * kld, 79, 0.6 * kld, 0.6 * kld),
        "kld_worst_share": Estimate(0.14, 79, 0.14, 0.14),
        "residual_refusal": Estimate(4 * refusal + 0.5, 8, 4 * refusal + 0.2, 4 * refusal + 0.9),
        "over_refusal_rate": rate(0.3 * refusal + 0.05 * rng.random(), 60),
        "protected_refusal_rate": rate(min(1.0, 0.35 + 0.65 * refusal), 20),
        "harmless_refusal_rate": rate(0.02 * refusal, 60),
        "capability": rate(0.95 - 0.15 * kld, 80),
        "degenerate_rate": rate(0.02 * kld, 200),
    }
    retained = {name: rate(refusal + (0.4 if name == "poisoning" else 0.0), 12) for name in CATEGORIES}
    return Metrics(estimates, retained, PROTOCOL, split)


def trial(number: int, rng: np.random.Generator) -> FrontierPoint:
    """One trial: stronger edits refuse less and drift more, more probes a little of both."""
    n_probe, alpha, top_k = 4 * int(rng.integers(6, 32)), float(rng.uniform(0.2, 1.2)), int(rng.integers(1, 28))
    push = alpha * math.sqrt(top_k / 14) * (0.6 + n_probe / 120)
    refusal = 0.97 / (1 + math.exp(4.5 * (push - 0.75))) + 0.08 * rng.random()
    kld = 0.32 * push**2.2 * math.exp(rng.normal(0, 0.35)) + 0.001
    params = {"data.n_probe": n_probe, "edit.alpha_base": round(alpha, 3), "edit.global_top_k": top_k}
    name = f"nh{n_probe}_a{round(1000 * alpha):03d}_g{top_k}"
    tune = metrics(refusal - 0.04, kld, rng)
    score = tune["refusal_rate"] + 0.12 * math.log1p(kld)
    return FrontierPoint(number, name, params, tune, f"{number:012x}", score, feasible=bool(rng.random() > 0.12))


def with_front(trials: list[FrontierPoint], rng: np.random.Generator) -> tuple[FrontierPoint, ...]:
    """Mark the Pareto-optimal feasible trials and score them on held-out prompts."""

    def place(point: FrontierPoint) -> tuple[float, float]:
        return point.tune["refusal_rate"], point.tune["kld"]

    def dominated(point: FrontierPoint) -> bool:
        x, y = place(point)
        return any(a <= x and b <= y and (a, b) != (x, y) for a, b in (place(p) for p in trials if p.feasible))

    front = [point for point in trials if point.feasible and not dominated(point)]
    marks = {
        min(front, key=lambda p: place(p)).number: "aggressive",
        min(front, key=lambda p: place(p)[1]).number: "conservative",
    }
    balanced = min((p for p in front if p.number not in marks), key=lambda p: p.score)
    marks[balanced.number] = "balanced"
    points = []
    for point in trials:
        on_front = point in front
        refusal, kld = place(point)
        report = metrics(refusal + 0.03 * rng.random(), 1.08 * kld, rng, "report") if on_front else None
        points.append(
            FrontierPoint(
                point.number, point.name, point.params, point.tune, point.plan_digest, point.score,
                feasible=point.feasible, on_front=on_front, report=report,
                hypervolume_share=float(rng.uniform(0, 0.2)) if on_front else 0.0,
                marks=(marks[point.number],) if point.number in marks else (),
            )
        )  # fmt: skip
    return tuple(points)


def direction_rows(rng: np.random.Generator) -> tuple[DirectionRow, ...]:
    """Four directions a layer, the first the strong one."""
    rows = []
    for layer in range(N_LAYERS):
        for index in range(4):
            strong = 0.3 + 5 / (1 + math.exp(-(layer - 10) / 2.5)) if index == 0 else 0.09 / index
            ratio = strong * math.exp(rng.normal(0, 0.25))
            rho = float(rng.beta(2, 4) if index == 0 else rng.beta(1.2, 3))
            rows.append(DirectionRow(layer, index, ratio, rho, selected=False))
    best = sorted(rows, key=lambda r: -r.fisher_ratio * (1 - r.entanglement) * (5 <= r.layer <= 19))[:14]
    return tuple(DirectionRow(r.layer, r.index, r.fisher_ratio, r.entanglement, r in best) for r in rows)


SETTINGS = {
    "words": "+sweep=gemma4",
    "protected": ["poisoning"],
    "data": {"n_probe": 60, "n_capability": 30, "probe": {"harmful": 128, "harmless": 128, "capability": 30}},
    "edit": {
        "extraction": "svd",
        "n_directions": 4,
        "layer_strategy": "top_k",
        "global_top_k": 14,
        "alpha_base": 0.825,
        "alpha_entangled": 0.03,
        "entanglement_threshold": 0.55,
        "max_iterations": 4,
        "purify": "harmless_mean",
        "scope": "layer",
    },
}
SEED_SOURCE = "https://huggingface.co/example/gemma-4-E4B-SABER"


@pytest.fixture(scope="session")
def frontier() -> Frontier:
    """The synthetic study."""
    rng = np.random.default_rng(7)
    points = with_front([trial(number, rng) for number in range(N_TRIALS)], rng)
    curve = tuple(
        CurvePoint(s, metrics(0.97 / (1 + math.exp(5 * (s - 0.9))), 0.75 * s**2 + 1e-3, rng))
        for s in np.linspace(0.1, 1.5, 12).tolist()
    )
    return Frontier(
        study="gemma4_e4b_auto_svd",
        base_model="google/gemma-4-E4B-it",
        objectives=(Objective("refusal_rate", "minimize", 1.0), Objective("kld", "minimize", 0.5)),
        points=points,
        base_tune=metrics(0.98, 0.0, rng),
        base_report=metrics(0.975, 0.0, rng, "report"),
        hypervolume=0.4312,
        curve=curve,
        published=(
            PublishedRow("seed, aggressive", 0, 49, 0.4327, "prompt", SEED_SOURCE, 3.9394, 0.0432),
            PublishedRow("seed, balanced", 1, 49, 0.3164, "prompt", SEED_SOURCE),
            PublishedRow("Heretic variant", 8, 100, 0.0216, "first", "a model card"),
        ),
        importances={
            "refusal_rate": {"edit.alpha_base": 0.52, "edit.global_top_k": 0.31, "data.n_probe": 0.17},
            "kld": {"edit.alpha_base": 0.61, "edit.global_top_k": 0.12, "data.n_probe": 0.27},
        },
        layer_fdr=tuple(0.15 + 1.6 / (1 + math.exp(-(layer - 9) / 2.5)) for layer in range(N_LAYERS)),
        directions=direction_rows(rng),
        settings=SETTINGS,
    )


@pytest.fixture(scope="session")
def bare() -> Frontier:
    """A study that has barely begun: one trial with one metric, nothing to draw."""
    only = Metrics({"refusal_rate": rate(0.5, 49)}, {}, PROTOCOL, "tune")
    point = FrontierPoint(0, "point", {}, only, "0" * 12, 0.5, on_front=True)
    return Frontier(
        "bare", "organism", (Objective("refusal_rate", "minimize", 1.0),), (point,), only, None, hypervolume=0.0
    )  # fmt: skip
