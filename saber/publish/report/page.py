"""A page that needs no network: its templates, in which every name is escaped, and a figure ready for it."""

from __future__ import annotations

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

FIGURE_CONFIG = {"displaylogo": False, "displayModeBar": False, "responsive": True}


def render_page(template: str, **values: object) -> str:
    """Fill in a template of this package, to which Plotly's own code is given as ``plotly_js``."""
    environment = Environment(
        loader=PackageLoader("saber.publish"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(plotly_js=Markup(get_plotlyjs()), **values)


def drawn(figure: go.Figure, key: str) -> Markup:
    """A figure as a part of a page, under the id ``figure-<key>``."""
    return Markup(
        figure.to_html(
            full_html=False, include_plotlyjs=False, div_id=f"figure-{key}", config=FIGURE_CONFIG, default_width="100%"
        )
    )
