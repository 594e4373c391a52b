"""The fronts of several studies in one plane, a colour for each."""

from __future__ import annotations

import plotly.graph_objects as go

from saber.publish.figures import theme
from saber.publish.figures.plane import plane_of_objectives, step_shape
from saber.study.front.comparisons import StudyFronts

HEIGHT = 560
COLOURS = ("#14598c", "#b4462f", "#237f78", "#c5861a", "#7b52a1", "#5d7a27", "#4f5d75", "#a33d6d")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")  # with colours, more than anyone can read


def overlay_figure(fronts: StudyFronts) -> go.Figure:
    """Draw each study's front as a stepped line with its points."""
    plane = plane_of_objectives(fronts.objectives)
    figure = theme.styled(go.Figure(), HEIGHT)
    across: list[float] = []
    for i, study in enumerate(fronts.studies):
        ordered = sorted(plane.drawable(study.front), key=lambda point: plane.at(point.tune))
        places = [plane.at(point.tune) for point in ordered]
        across += [x for x, _ in places]
        colour = COLOURS[i % len(COLOURS)]
        figure.add_scatter(
            x=[x for x, _ in places],
            y=[y for _, y in places],
            name=theme.safe(study.study),
            hovertext=[f"{theme.safe(study.study)}<br>{theme.point_hover(point)}" for point in ordered],
            hoverinfo="text",
            mode="lines+markers" if len(fronts.objectives) == 2 else "markers",
            line={"color": colour, "width": 1.5, "shape": step_shape(plane)},
            marker={"color": colour, "size": 9, "symbol": SYMBOLS[i // len(COLOURS) % len(SYMBOLS)]},
        )
    figure.update_xaxes(
        title_text=theme.axis_title(plane.x),
        tickformat=theme.tick_format(plane.x.metric),
        type="log" if theme.wants_log(across) and min(across) > 0 else "linear",
    )
    figure.update_yaxes(title_text=theme.axis_title(plane.y), tickformat=theme.tick_format(plane.y.metric))
    figure.update_layout(showlegend=True)
    return figure
