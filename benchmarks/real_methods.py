"""The methods of ``real_model.py``: the words of ``saber.sweep`` that search each, and the two peers that search alone.

Outputs read in a band are what Heretic's tents are with floors of nothing: one direction of a searched depth, taken out
at layers around a searched position, weaker towards the band's two ends.
"""

from __future__ import annotations

from collections.abc import Mapping

from front_methods import METHODS as ORGANISM_METHODS

HERETIC, ARA = "heretic", "ara"
PEERS = (HERETIC, ARA)
SWEEP = "gemma4_depth"  # the default of the organism, for a real model


def _band(kind: str) -> str:
    return (
        f"{kind}: {{peak: {{low: 0.2, high: 1.5}}, position: {{low: 0.3, high: 0.9}},"
        " half_width: {low: 0.05, high: 0.5}}"
    )


METHODS: Mapping[str, tuple[str, ...]] = {
    "outputs": (f"+sweep={SWEEP}",),
    "outputs-band": (
        f"+sweep={SWEEP}",
        "edit.strength=uniform",
        "edit.purify=harmless_mean",
        "edit.alpha_base=1.0",
        "edit.global_top_k=1",
        *(f"edit.kernel.{kind}.floor=0.0" for kind in ("attention", "mlp")),
        "~space",
        "+space={edit: {reader_ridge: {low: 0.1, high: 10.0, log: true},"
        f" kernel: {{direction_position: {{low: 0.4, high: 0.9}}, {_band('attention')}, {_band('mlp')}}}}}}}",
        "study.enqueue=[]",
    ),
    "projected": (f"+sweep={SWEEP}", *ORGANISM_METHODS["projected"].words),
    "arditi": (f"+sweep={SWEEP}", *ORGANISM_METHODS["arditi"].words),
    "saber-seed": (f"+sweep={SWEEP}", *ORGANISM_METHODS["saber-seed"].words),
}
EVERY_METHOD = (*METHODS, *PEERS)
