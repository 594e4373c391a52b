"""The methods of ``real_model.py``: the words of ``saber.sweep`` that search each, and the two peers that search alone.

``inputs`` is ``+sweep=chat`` as a user gets it: its space, sampler, known points and scale. ``outputs`` reads what
comes out of all writers, as the organism's sweep did before. Outputs read in a band are what Heretic's tents are with
floors of nothing: one direction of a searched depth, taken out at layers around a searched position, weaker towards
the band's two ends.
"""

from __future__ import annotations

from collections.abc import Mapping

from front_methods import METHODS as ORGANISM_METHODS
from front_methods import PEERS, PROBES

DEFAULT = "chat"  # what a user of any chat model gets
SWEEP = "gemma4_depth"  # outputs read, for a real model


def _band(kind: str) -> str:
    return (
        f"{kind}: {{peak: {{low: 0.2, high: 1.5}}, position: {{low: 0.3, high: 0.9}},"
        " half_width: {low: 0.05, high: 0.5}}"
    )


def _searched(preset: str, edit: str, probes: str = f"data: {{{PROBES}}}, ", known: str = "") -> tuple[str, ...]:
    """A preset of ``conf/edit`` with a space of its own, and known points where there are."""
    space = f"+space={{{probes}edit: {{{edit}}}}}"
    return (f"+sweep={SWEEP}", f"edit={preset}", "~space", space, f"study.enqueue=[{known}]")


METHODS: Mapping[str, tuple[str, ...]] = {
    "inputs": (f"+sweep={DEFAULT}",),
    "outputs": _searched(
        "saber_depth",
        "purify: {choices: [none, harmless_mean]}, kernel: {direction_position: {low: 0.2, high: 1.0}},"
        " alpha_base: {low: 0.2, high: 1.5, step: 0.025}, alpha_entangled: {low: 0.0, high: 1.0, step: 0.01},"
        " entanglement_threshold: {low: 0.1, high: 0.9, step: 0.05}, global_top_k: {low: 1, high: 4},"
        " reader_ridge: {low: 0.1, high: 10.0, log: true}",
        known="{data.n_probe: 60, edit.alpha_base: 0.825, edit.global_top_k: 4}",
    ),
    "outputs-band": (
        *_searched(
            "saber_depth",
            "reader_ridge: {low: 0.1, high: 10.0, log: true}, kernel: {direction_position: {low: 0.4, high: 0.9},"
            f" {_band('attention')}, {_band('mlp')}}}",
            probes="",
        ),
        "edit.strength=uniform",
        "edit.purify=harmless_mean",
        "edit.alpha_base=1.0",
        "edit.global_top_k=1",
        *(f"edit.kernel.{kind}.floor=0.0" for kind in ("attention", "mlp")),
    ),
    "projected": (f"+sweep={SWEEP}", *ORGANISM_METHODS["projected"].words),
    "arditi": (f"+sweep={SWEEP}", *ORGANISM_METHODS["arditi"].words),
    "saber-seed": (f"+sweep={SWEEP}", *ORGANISM_METHODS["saber-seed"].words),
}
EVERY_METHOD = (*METHODS, *PEERS)
