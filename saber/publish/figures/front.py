"""The front: every trial, the Pareto-optimal ones with intervals, and what they have to be compared with."""

from __future__ import annotations

import plotly.graph_objects as go

from saber.metrics import REFUSAL
from saber.publish.figures import theme
from saber.publish.figures.plane import Plane, plane_of, step_shape
from saber.publish.figures.scales import Label, add_scales
from saber.publish.text.wording import is_drift, number_text, published_text
from saber.types import Frontier, FrontierPoint, Metrics

HEIGHT = 560
HEADROOM = 0.06  # share of the y range kept free above and, for labels, twice that below


def front_figure(frontier: Frontier) -> go.Figure:
    """Draw the front with its intervals, all trials, the null curve, the base model and published rows."""
    plane = plane_of(frontier)
    drawn = plane.drawable(frontier.points)
    if not drawn:
        return theme.sentence("No finished trial has both metrics of the front yet.")
    front = [point for point in plane.drawable(frontier.front) if point.feasible]
    figure = theme.styled(go.Figure(), HEIGHT)
    others = [point for point in drawn if not point.on_front]
    _add_trials(figure, plane, [p for p in others if p.feasible], [p for p in others if not p.feasible])
    _add_single_direction(figure, plane, frontier)
    _add_held_out(figure, plane, front)
    _add_front(figure, plane, front, joined=len(frontier.objectives) <= 2)
    _add_base(figure, plane, frontier.base_tune)
    _add_published(figure, plane, frontier)
    _lay_out(figure, plane, frontier, front)
    return figure


def _add_trials(
    figure: go.Figure, plane: Plane, feasible: list[FrontierPoint], infeasible: list[FrontierPoint]
) -> None:
    looks = (
        ("trials", feasible, {"color": theme.TRIAL, "size": 6, "opacity": 0.75}),
        (
            "infeasible trials",
            infeasible,
            {
                "color": theme.INFEASIBLE,
                "size": 6,
                "symbol": "x-thin",
                "line": {"color": theme.INFEASIBLE, "width": 1.5},
            },
        ),
    )
    for name, points, marker in looks:
        if points:
            places = [plane.at(point.tune) for point in points]
            _add(figure, name, places, [theme.point_hover(p) for p in points], mode="markers", marker=marker)


def _add_front(figure: go.Figure, plane: Plane, front: list[FrontierPoint], *, joined: bool) -> None:
    if not front:
        return
    ordered = sorted(front, key=lambda point: plane.at(point.tune))
    _add(
        figure,
        "front, with 95% intervals",
        [plane.at(point.tune) for point in ordered],
        [theme.point_hover(point) for point in ordered],
        legendrank=1,
        mode="lines+markers" if joined else "markers",
        line={"color": theme.CHOSEN, "width": 1.5, "shape": step_shape(plane)},
        marker={"color": theme.CHOSEN, "size": [12 if point.marks else 8 for point in ordered]},
        error_x=_bars(ordered, plane.x.metric),
        error_y=_bars(ordered, plane.y.metric),
    )


def _bars(points: list[FrontierPoint], metric: str) -> dict[str, object]:
    estimates = [point.tune.estimates[metric] for point in points]
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, e.high - e.value) for e in estimates],
        "arrayminus": [max(0.0, e.value - e.low) for e in estimates],
        "color": "rgba(20,89,140,0.35)",
        "thickness": 1.2,
        "width": 0,
    }


def _add_held_out(figure: go.Figure, plane: Plane, front: list[FrontierPoint]) -> None:
    both = [(point, point.report) for point in front if point.report is not None and plane.holds(point.report)]
    if not both:
        return
    path: list[tuple[float | None, float | None]] = []
    for point, report in both:
        path += [plane.at(point.tune), plane.at(report), (None, None)]
    line = {"color": theme.CHOSEN, "width": 1, "dash": "dot"}
    group = {"legendgroup": "held out"}
    _add(figure, "", path, [], mode="lines", line=line, showlegend=False, opacity=0.55, **group)
    hovers = ["<br>".join([f"<b>{theme.safe(p.name)}</b>  held out", *theme.metric_lines(r)]) for p, r in both]
    marker = {"color": theme.PAPER, "size": 8, "line": {"color": theme.CHOSEN, "width": 1.5}}
    places = [plane.at(report) for _, report in both]
    _add(figure, "the same, on held-out prompts", places, hovers, mode="markers", marker=marker, legendrank=2, **group)


def _add_single_direction(figure: go.Figure, plane: Plane, frontier: Frontier) -> None:
    curve = [curve_point for curve_point in frontier.curve if plane.holds(curve_point.tune)]
    if not curve:
        return
    hovers = [
        "<br>".join(
            [f"<b>one plain direction</b>  strength {curve_point.strength:g}", *theme.metric_lines(curve_point.tune)]
        )
        for curve_point in curve
    ]
    _add(
        figure,
        "one plain direction (null curve)",
        [plane.at(curve_point.tune) for curve_point in curve],
        hovers,
        mode="lines+markers",
        line={"color": theme.SINGLE_DIRECTION, "width": 1.5, "dash": "dash"},
        marker={"color": theme.SINGLE_DIRECTION, "size": 4},
    )


def _add_base(figure: go.Figure, plane: Plane, base: Metrics) -> None:
    if plane.y.metric not in base.estimates:
        return
    figure.add_hline(y=base[plane.y.metric], line={"color": theme.BASE, "width": 1, "dash": "dot"}, opacity=0.5)
    across = 0.0 if is_drift(plane.x.metric) else base.estimates.get(plane.x.metric)
    x = across.value if across is not None and not isinstance(across, float) else across
    if x is None:
        return
    hover = "<br>".join(["<b>base model</b>", *theme.metric_lines(base)])
    marker = {"color": theme.BASE, "size": 11, "symbol": "diamond"}
    _add(figure, "base model", [(x, base[plane.y.metric])], [hover], mode="markers", marker=marker)


def _add_published(figure: go.Figure, plane: Plane, frontier: Frontier) -> None:
    if not (is_drift(plane.x.metric) and plane.y.metric == REFUSAL):
        return
    for i, row in enumerate(frontier.published, start=1):
        _add(
            figure,
            f"P{i}  {theme.safe(row.name)}",
            [(row.kld_nats, row.refusals / row.n_prompts)],
            [f"<b>published, another protocol</b><br>{theme.safe(published_text(row))}<br>{theme.safe(row.source)}"],
            mode="markers+text",
            text=[f"P{i}"],
            textposition="top center" if i % 2 else "bottom center",
            textfont={"color": theme.PUBLISHED, "size": 11},
            marker={
                "color": theme.PAPER,
                "size": 9,
                "symbol": "square",
                "line": {"color": theme.PUBLISHED, "width": 1.5},
            },
            legendgroup="published",
            legendgrouptitle={"text": "published, another protocol", "font": {"size": 12}},
        )


def _add(
    figure: go.Figure,
    name: str,
    places: list[tuple[float, float]] | list[tuple[float | None, float | None]],
    hovers: list[str],
    **look: object,
) -> None:
    """One scatter trace from places and hover texts."""
    figure.add_scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        name=name,
        hovertext=hovers or None,
        hoverinfo="text" if hovers else "skip",
        **look,
    )


def _lay_out(figure: go.Figure, plane: Plane, frontier: Frontier, front: list[FrontierPoint]) -> None:
    """Axes, the base model's words, the marks, and the switch between linear and log."""
    xs = [x for trace in figure.data for x in trace.x if x is not None]
    ys = [y for trace in figure.data for y in trace.y if y is not None]
    span = max(ys) - min(ys) or 1.0
    figure.update_yaxes(
        title_text=theme.axis_title(plane.y),
        tickformat=theme.tick_format(plane.y.metric),
        range=[min(ys) - 2 * HEADROOM * span, max(ys) + HEADROOM * span],
    )
    figure.update_xaxes(title_text=theme.axis_title(plane.x), tickformat=theme.tick_format(plane.x.metric))
    figure.update_layout(
        legend={"orientation": "v", "x": 1.02, "y": 1, "xanchor": "left", "yanchor": "top", "tracegroupgap": 10}
    )
    labels = [_mark_label(plane, point) for point in front if point.marks]
    fixed = _base_words(plane, frontier.base_tune)
    log = is_drift(plane.x.metric) and theme.wants_log(xs)
    add_scales(figure, across=xs, labels=labels, fixed=fixed, height=span, start_log=log)


def _mark_label(plane: Plane, point: FrontierPoint) -> Label:
    """The mark in bold, on the empty side of the front."""
    x, y = plane.at(point.tune)
    right = -34 if plane.x.direction == "minimize" else 34
    down = 30 if plane.y.direction == "minimize" else -30
    return Label(x, y, f"<b>{theme.safe(' · '.join(point.marks))}</b>", right, down, theme.CHOSEN)


def _base_words(plane: Plane, base: Metrics) -> list[dict[str, object]]:
    if plane.y.metric not in base.estimates:
        return []
    value = base[plane.y.metric]
    text = f"base model {number_text(plane.y.metric, value)}"
    return [
        {
            "x": 1, "xref": "paper", "y": value, "text": text, "xanchor": "right", "yanchor": "bottom",
            "showarrow": False, "font": {"color": theme.BASE, "size": 12},
        }
    ]  # fmt: skip
