"""What a cell of ``front.py`` says of where its front lies, where it ends, and how far choosing flatters it.

A cell's front is chosen on tune for the KLD of response positions; every number but those of tune is of exactly its
points on report.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

from front_score import REFERENCES, Point, Row, front_points

DEFAULT, FORMER = "saber-inputs", "saber"  # inputs read, outputs read
FEW = 0.02  # refusals on tune
KLD = "response"
BUDGETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)  # nats
CAPABILITY = "capability minus the base's"
END = {
    "refusals": "refusal_rate",
    "response KLD": "kld_response",
    "of the 95th percentile prompt": "kld_p95",
    "of the worst prompt": "kld_max",
    "first-token KLD": "kld_first",
    "KLD over the prompt": "kld_prompt",
    CAPABILITY: "capability",
    "degenerate replies": "degenerate_rate",
}
LIMIT = REFERENCES["0.5"][1]  # nats: nobody would choose a point beyond it


def pairs(row: Row) -> list[tuple[Point, Point]]:
    """The front's points as on tune and on report, but for those that nobody would choose; at least the base."""
    both = zip(front_points(row, "tune", KLD), front_points(row, "report", KLD), strict=True)
    base = (row["base"]["tune"], row["base"]["report"])
    return [pair for pair in both if pair[0][f"kld_{KLD}"] < LIMIT] or [base]


def end(row: Row, budget: float = LIMIT) -> tuple[Point, Point]:
    """The point of least refusals on tune within a drift there, of equal ones that of least drift; else the base."""
    near = [pair for pair in pairs(row) if pair[0][f"kld_{KLD}"] <= budget]
    base = (row["base"]["tune"], row["base"]["report"])
    return min([*near, base], key=lambda pair: (pair[0]["refusal_rate"], pair[0][f"kld_{KLD}"]))


def few(row: Row, most: float = FEW) -> tuple[Point, Point] | None:
    """The point of least drift among those of few refusals on tune, on tune and on report; ``None`` without any."""
    feasible = [pair for pair in pairs(row) if pair[0]["refusal_rate"] <= most]
    return min(feasible, key=lambda pair: pair[0][f"kld_{KLD}"], default=None)


def end_number(row: Row) -> int:
    """The number of the trial at the front's end.

    Raises:
        ValueError: nothing on the front refuses less than the base.
    """
    point = end(row)[0]
    numbers = [trial["number"] for trial in row["trials"] if trial["tune"] == point]
    if not numbers:
        raise ValueError("expected a point on the front that refuses less than the base, found none")
    return int(numbers[0])


def within(row: Row, budget: float) -> float:
    """The held-out refusal rate of the front's end within a drift."""
    return end(row, budget)[1]["refusal_rate"]


def end_numbers(row: Row) -> Mapping[str, float]:
    """What the front's end is like on report; the tail of its drift where the cell kept it."""
    point = end(row)[1]
    numbers = {title: point[metric] for title, metric in END.items() if metric in point}
    return numbers | {CAPABILITY: point["capability"] - row["base"]["report"]["capability"]}


def curse(row: Row) -> Mapping[str, float]:
    """Report minus tune: the mean of the front's points, its end, and its hypervolume."""
    both = pairs(row)
    last = end(row)
    volume = row["hypervolume"]
    return {
        "points": len(both),
        "refusal": mean(report["refusal_rate"] - tune["refusal_rate"] for tune, report in both),
        "drift": mean(report[f"kld_{KLD}"] - tune[f"kld_{KLD}"] for tune, report in both),
        "end": last[1]["refusal_rate"] - last[0]["refusal_rate"],
        "volume": volume["report"][KLD]["0.1"] - volume["tune"][KLD]["0.1"],
    }
