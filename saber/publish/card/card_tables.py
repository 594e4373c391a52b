"""The tables of a model card: evaluation, comparison, published rows, retained refusals, writers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from saber.metrics import BY_NAME, CAPABILITY, DRIFT, OVER_REFUSAL, PROTECTED_REFUSAL, REFUSAL, shown_in
from saber.publish.analysis.settings import protected_categories
from saber.publish.text.markdown import Md, code, escaped, link, table
from saber.publish.text.wording import MISSING, estimate_text, label, metric_text
from saber.types import Frontier, FrontierPoint, Metrics, PublishedRow

AT_A_GLANCE = {
    REFUSAL: "harmful prompts refused",
    PROTECTED_REFUSAL: "of them protected ones refused",
    OVER_REFUSAL: "harmless borderline prompts refused",
    CAPABILITY: "questions answered right",
    DRIFT: "drift from the base (KLD, nats)",
}


def evaluation_table(frontier: Frontier, point: FrontierPoint, tune: Metrics, report: Metrics | None) -> Md:
    """Every metric of the checkpoint on both splits with n and 95% interval, the base model's beside them."""
    columns: dict[str, Metrics | None] = {
        "this checkpoint, tune": tune,
        "this checkpoint, held-out report": report,
        "base, tune": frontier.base_tune,
        "base, held-out report": frontier.base_report,
    }
    shown = {title: metrics for title, metrics in columns.items() if metrics is not None}
    rows = [
        [label(name), *(Md(metric_text(metrics, name)) for metrics in shown.values())]
        for name in _measured(shown.values())
    ]
    score = [f"{point.score:.4f}", *[MISSING] * (len(shown) - 1)]
    rows.insert(min(3, len(rows)), ["score used in local sweep", *score])
    return table(["metric", *shown], rows)


def glance_table(frontier: Frontier, metrics: Metrics) -> Md:
    """What went and what stayed, in five lines: the base and this checkpoint on the same prompts."""
    base = (frontier.base_report if metrics.split == "report" else frontier.base_tune) or frontier.base_tune
    rows = [
        [words, Md(metric_text(base, name)), Md(metric_text(metrics, name))]
        for name, words in AT_A_GLANCE.items()
        if name in metrics.estimates
    ]
    return table(["", "base", "this checkpoint"], rows)


def comparison_table(frontier: Frontier, point: FrontierPoint, other: FrontierPoint) -> Md:
    """The point and another one of the same sweep, both as the sweep measured them."""
    names = [name for name in shown_in("compared") if name in point.tune.estimates or name in other.tune.estimates]
    rows = [
        [code(f"{frontier.study}_{shown_point.name}"), *(Md(metric_text(shown_point.tune, name)) for name in names)]
        for shown_point in (point, other)
    ]
    return table(["run", *(label(name) for name in names)], rows)


def published_table(rows: Sequence[PublishedRow]) -> Md:
    """What others published, with whose drift it is."""
    cells = [
        [
            row.name,
            f"{row.refusals}/{row.n_prompts}",
            f"{row.kld_nats:.4f}",
            row.kld_positions,
            MISSING if row.residual_refusal is None else f"{row.residual_refusal:.4f}",
            MISSING if row.score is None else f"{row.score:.4f}",
            link(row.source),
        ]
        for row in rows
    ]
    return table(["name", "refusals", "KLD", "KLD positions", "residual", "score", "source"], cells)


def retained_table(frontier: Frontier, tune: Metrics, report: Metrics | None) -> Md | None:
    """Refusals by harm category, the protected ones first and marked."""
    protected = protected_categories(frontier)
    names = sorted({*tune.retained, *(report.retained if report else ())}, key=lambda c: (c not in protected, c))
    if not names:
        return None
    columns = {"base": frontier.base_tune, "tune": tune} | ({"held-out report": report} if report else {})
    rows = [
        [
            Md(f"**{escaped(name)}** (protected)") if name in protected else name,
            *(Md(estimate_text(REFUSAL, metrics.retained.get(name))) for metrics in columns.values()),
        ]
        for name in names
    ]
    return table(["category", *columns], rows)


def drift_table(tune: Metrics, report: Metrics | None) -> Md | None:
    """Mean drift by kind and category of the prompts it is measured on."""
    columns = {"tune": tune} | ({"held-out report": report} if report else {})
    names = list(dict.fromkeys(name for metrics in columns.values() for name in metrics.drift_by_category))
    if not names:
        return None
    rows = [
        [name, *(Md(estimate_text(DRIFT, metrics.drift_by_category.get(name))) for metrics in columns.values())]
        for name in names
    ]
    return table(["category", *columns], rows)


def writers_table(writers: Sequence[Mapping[str, object]]) -> Md | None:
    """The edited writers, whatever columns they were described with."""
    if not writers:
        return None
    header = list(dict.fromkeys(str(key) for writer in writers for key in writer))
    rows = [[_cell(writer.get(key, MISSING)) for key in header] for writer in writers]
    return table([escaped(key.replace("_", " ")) for key in header], rows)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _measured(columns: Iterable[Metrics]) -> list[str]:
    """Every metric that some column has, in the card's order, unknown ones last."""
    names = {name for metrics in columns for name in metrics.estimates}
    return [name for name in BY_NAME if name in names] + sorted(names - set(BY_NAME))
