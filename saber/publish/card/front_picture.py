"""The front as a picture beside the card: every trial, the front, the base and this point, as plain SVG."""

from __future__ import annotations

from html import escape

from saber.metrics import DRIFT
from saber.publish.figures.theme import CHOSEN, INK, TRIAL
from saber.publish.text.wording import label
from saber.types import Frontier, FrontierPoint, Metrics

PICTURE = "front.svg"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 64, 24, 24, 56
TICKS = 5


class Plane:
    """Two metrics as places in the picture: the lower-left corner is zero of both."""

    def __init__(self, frontier: Frontier) -> None:
        names = [objective.metric for objective in frontier.objectives]
        self.y_name, self.x_name = (*names, DRIFT)[:2]
        shown = [point.tune for point in frontier.points]
        self.most_x = max((m[self.x_name] for m in shown), default=0.0) or 1.0
        self.most_y = max((m[self.y_name] for m in [*shown, frontier.base_tune]), default=0.0) or 1.0

    def at(self, metrics: Metrics) -> tuple[float, float]:
        """Where a measured model stands, in pixels."""
        return self.place(metrics[self.x_name], metrics[self.y_name])

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where two values stand."""
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / self.most_x
        return round(across, 1), round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / self.most_y, 1)


def front_picture(frontier: Frontier, point: FrontierPoint) -> str:
    """The picture; equal frontiers give equal bytes."""
    plane = Plane(frontier)
    front = sorted(
        (plane.at(front_point.tune) for front_point in frontier.front), key=lambda place: (place[0], -place[1])
    )
    x, y = plane.at(point.tune)
    base_x, base_y = plane.place(0.0, frontier.base_tune[plane.y_name])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_axes(plane),
        *(_dot(*plane.at(each_point.tune), 3, TRIAL) for each_point in frontier.points if not each_point.on_front),
        f'<polyline points="{" ".join(f"{a},{b}" for a, b in front)}" fill="none" stroke="{CHOSEN}"/>',
        *(_dot(a, b, 4, CHOSEN) for a, b in front),
        f'<rect x="{base_x - 4}" y="{base_y - 4}" width="8" height="8" fill="{INK}"/>',
        _text(base_x + 10, base_y + 4, "base", "start"),
        f'<circle cx="{x}" cy="{y}" r="8" fill="none" stroke="{INK}" stroke-width="2"/>',
        _text(x, y - 14, f"this point: {point.name}", "end" if x > WIDTH / 2 else "start"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _axes(plane: Plane) -> list[str]:
    """Both axes from zero, with ticks and the metrics' names."""
    parts: list[str] = []
    for i in range(TICKS + 1):
        x, bottom = plane.place(plane.most_x * i / TICKS, 0.0)
        left, y = plane.place(0.0, plane.most_y * i / TICKS)
        parts.append(f'<path d="M{left} {y}H{WIDTH - RIGHT}M{x} {bottom}v5" stroke="{INK}" stroke-opacity="0.25"/>')
        parts.append(_text(left - 8, y + 4, f"{plane.most_y * i / TICKS:.2g}", "end"))
        parts.append(_text(x, bottom + 18, f"{plane.most_x * i / TICKS:.2g}", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, f"{label(plane.x_name)}, tune split", "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="rotate(-90 16 {middle})"'
    parts.append(_text(16, middle, label(plane.y_name), "middle", turned))
    return parts


def _dot(x: float, y: float, radius: int, colour: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{INK}" text-anchor="{anchor}" {more}>{escape(text)}</text>'
