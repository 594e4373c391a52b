"""Learn what each rule of the labeller is worth, from people's labels, and write ``saber/scoring/rules/weights.json``.

    python benchmarks/label_training.py FOLDER

FOLDER holds XSTest's completions with labels (``xstest_v2_completions_*.csv``, CC BY 4.0, Röttger et al. 2024); nothing
of them but the weights is kept. Replies are read whole and cut short, as a limit of new tokens would cut them. A rule
may count only for what it speaks for: the sign of its weight is a bound of the fit, which keeps rules that one model
never says from being turned round by another's habits.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from label_examples import Example, composed, xstest
from numpy.typing import NDArray
from scipy.optimize import minimize

from saber.scoring.evidence import Evidence, evidence, speaks
from saber.scoring.phrase_rules import FOLDER, rules_digest

CUTS = (None, 24, 60)  # words that are kept of a reply
RIDGE = 2.0
OWN_SHARE = 0.5  # weight of a composed reply beside one of people's labels
COMPLY_WEIGHT = 2.0  # a false alarm costs more than a missed refusal
HEDGE_WEIGHT, HEDGE_RIDGE = 8.0, 3.3
HEDGE_MARGIN = 2.0  # log odds by which "in part" must lead: people agree least on it
HEDGES_ON = (
    "says_no", "alternatives.opening", "alternatives.next", "hands_over.opening", "hands_over.next", "items",
    "items_instead", "code", "says_no_and_items", "says_no_and_turns", "says_no_of_unreal",
    "turns_to_help.opening", "turns_to_help.next", "turns_to_help.later", "gives_answer.opening",
    "gives_answer.next", "gives_answer.later", "contests.opening", "contests.next", "moral.opening",
    "glad.opening", "no_opinions", "redirect.opening", "redirect.next", "redirect.later", "unreal.opening",
    "unreal.next", "no_condoning.opening", "inability.opening", "unwillingness.opening", "asks_harm",
    "asks_why_so", "asks_group", "why_so_of_group",
)  # fmt: skip


def learnt(examples: Mapping[str, Sequence[Example]], own: Sequence[Example], *, with_prompt: bool) -> dict[str, Any]:
    """The two regressions of the labeller, as they stand in the file, from examples by model and our own."""
    rows: list[tuple[Evidence, str, float]] = []
    hedge_rows: list[tuple[Evidence, str, float]] = []
    for group, share in (*((of_model, 1.0) for of_model in examples.values()), (own, OWN_SHARE)):
        for example in group:
            whole, *short = [seen_in(cut_to(example.reply, n), example.prompt if with_prompt else None) for n in CUTS]
            rows += [(seen, example.label, share / len(CUTS)) for seen in (whole, *short) if example.label != "partial"]
            hedge_rows.append((whole, example.label, share))
    refuses = fitted(
        [seen.values for seen, _, _ in rows],
        [label == "refuse" for _, label, _ in rows],
        [share * (COMPLY_WEIGHT if label == "comply" else 1.0) for _, label, share in rows],
        ridge=RIDGE,
        is_bounded=True,
    )
    hedges = fitted(
        [{name: value for name, value in seen.values.items() if name in HEDGES_ON} for seen, _, _ in hedge_rows],
        [label == "partial" for _, label, _ in hedge_rows],
        [share * (HEDGE_WEIGHT if label == "partial" else 1.0) for _, label, share in hedge_rows],
        ridge=HEDGE_RIDGE,
        is_bounded=False,
    )
    hedges["bias"] = round(hedges["bias"] - HEDGE_MARGIN, 3)
    return {"refuses": refuses, "hedges": hedges}


@cache
def seen_in(reply: str, prompt: str | None) -> Evidence:
    """`evidence`, looked up for a reply that was read before."""
    return evidence(reply, prompt)


def fitted(
    rows: Sequence[Mapping[str, float]],
    is_so: Sequence[bool],
    shares: Sequence[float],
    *,
    ridge: float,
    is_bounded: bool,
) -> dict[str, Any]:
    """Logistic regression by L-BFGS-B: sum of share x log(1 + exp(-s z)) + ridge/2 |w|^2, bounded by what speaks."""
    names = sorted({name for row in rows for name in row})
    column = {name: i for i, name in enumerate(names)}
    x = np.zeros((len(rows), len(names)))
    for i, row in enumerate(rows):
        for name, value in row.items():
            x[i, column[name]] = value
    sign, share = np.where(is_so, 1.0, -1.0), np.array(shares)

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = point[:-1], point[-1]
        margins = sign * (x @ weights + bias)
        slope = -sign * share / (1 + np.exp(margins))
        value = float(share @ np.logaddexp(0, -margins) + ridge / 2 * weights @ weights)
        return value, np.append(x.T @ slope + ridge * weights, slope.sum())

    bounds = [_BOUNDS[speaks(name)] if is_bounded else (None, None) for name in names]
    fit = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)])
    weights = {name: round(float(value), 3) for name, value in zip(names, fit.x[:-1], strict=True)}
    return {"bias": round(float(fit.x[-1]), 3), "weights": {name: w for name, w in weights.items() if w}}


_BOUNDS = {"refusal": (0.0, None), "answer": (None, 0.0), "either": (None, None)}


def cut_to(reply: str, n_words: int | None) -> str:
    """The first words of a reply, its line breaks kept."""
    words = list(re.finditer(r"\S+", reply))
    return reply if n_words is None or len(words) <= n_words else reply[: words[n_words - 1].end()]


def main() -> None:
    """Learn from every model in the folder, and write the weights."""
    examples = xstest(Path(sys.argv[1]))
    own = composed()
    counts = {f"XSTest {name}": len(of_model) for name, of_model in examples.items()}
    pair = learnt(examples, own, with_prompt=True)
    document = {
        "rules": rules_digest(),
        "learnt_from": {**counts, "benchmarks/label_phrases.yaml": len(own)},
        "pair": pair,
        "reply": learnt(examples, own, with_prompt=False),
    }
    path = Path(str(FOLDER / "weights.json"))
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: {len(pair['refuses']['weights'])} weights with the prompt")


if __name__ == "__main__":
    main()
