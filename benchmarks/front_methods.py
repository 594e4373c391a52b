"""The methods of ``front.py``: each the words that are put behind its sweep, and what no word can say.

A peer's method is its published recipe (its preset under conf/edit) with the space that its users would search around
it; the recipe itself is the first trial, as the default sweep has known points too. Tents that are flat edit all
writers alike, so that scope ``kernel`` with a ``global`` direction is the scope ``all`` with the direction's layer as
a number that can be searched.

surgical: arXiv 2601.08489 takes from the difference in means, by ridge regression, what lies along "concept atoms"
(differences in means of protected capabilities and styles against a neutral set). Our nearest knob takes out all that
lies in the top q right singular vectors of the harmless and capability probes, uncentred; q is searched. It is a
projection instead of a ridge, and principal directions instead of named atoms.

saber: outputs read, the default sweep until inputs were; saber-inputs: the default with no refusal spared, and
first-too the same with first-token drift as a third objective.

saber-small: the default's directions with one strength for all of them, and so with fewer keys to search.

kernel: Heretic 1.4.0's ranges. It has the floor as a share of the peak, here it is a strength of its own; it edits no
per-layer-input gate, so those have none here; distances are shares of depth, of 1 to 5.4 of 9 layers in the organism.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from control import Control
from front_controls import CONTROLS, ONE_ALPHA, biprojected
from front_input_controls import INPUT_CONTROLS
from front_levers import LEVERS

HERETIC, ARA = "heretic", "ara"
PEERS = (HERETIC, ARA)  # they search with keys of their own
RANDOM_SHARE = 60 / 200  # of a peer's trials, by Heretic's default
PROBES = "n_probe: {low: 24, high: 128, step: 4}"
FLAT = "{peak: 1.0, position: 0.5, floor: 1.0, half_width: 1.0}"
ONE_LAYER = (
    "++edit.scope=kernel",
    "++edit.kernel.direction=global",
    *(f"++edit.kernel.{kind}={FLAT}" for kind in ("attention", "mlp", "per_layer")),
)
STRENGTH_AND_LAYER = "alpha_base: {low: 0.2, high: 1.5}, kernel: {direction_position: {low: 0.2, high: 1.0}}"
UNCHANGED = Control()
RECIPE = "data.n_probe: 128, edit.alpha_base: 1.0, edit.kernel.direction_position: 0.6"


@dataclass(frozen=True)
class Method:
    """Words behind ``+sweep=``, and the control that runs around them."""

    words: tuple[str, ...] = ()
    control: Control = UNCHANGED
    sweep: str = "organism_outputs"


def _space(probes: str, edit: str) -> tuple[str, str]:
    """The words that put another space in the place of the sweep's."""
    data = f"data: {{{probes}}}, " if probes else ""
    return ("~space", f"+space={{{data}edit: {{{edit}}}}}")


def _one_direction(preset: str, *more: str, also: str = "", known: str = "", control: Control = UNCHANGED) -> Method:
    """A preset whose one direction acts on all layers alike, with its strength and its layer searched."""
    space = _space(PROBES, STRENGTH_AND_LAYER + also)
    return Method((f"edit={preset}", *ONE_LAYER, *more, *space, f"study.enqueue=[{{{RECIPE}{known}}}]"), control)


def _tent(kind: str) -> str:
    """Heretic's four numbers of one kind of writer."""
    return (
        f"{kind}: {{peak: {{low: 0.8, high: 1.5}}, position: {{low: 0.6, high: 1.0}},"
        " floor: {low: 0.0, high: 1.0}, half_width: {low: 0.111, high: 0.6}}"
    )


def _none_spared(*objectives: str) -> tuple[str, ...]:
    """What the default sweep searches, but for the refusals that it spares: no other method spares any."""
    return ("edit.protects=none", "study.constraints=[]", f"study.objectives=[{', '.join(objectives)}]")


REFUSALS = "{metric: refusal_rate, direction: minimize, reference: 1.0}"
DRIFT = "{metric: kld, direction: minimize, reference: 0.1}"
FIRST_TOKEN = "{metric: kld_first, direction: minimize, reference: 0.5}"
NONE_SPARED = _none_spared(REFUSALS, DRIFT)

METHODS: Mapping[str, Method] = {
    "saber-inputs": Method(NONE_SPARED, sweep="organism"),
    "first-too": Method(_none_spared(REFUSALS, DRIFT, FIRST_TOKEN), sweep="organism"),
    "saber": Method(),
    "saber-layers": Method(sweep="organism_layers"),
    "saber-small": Method(control=replace(ONE_ALPHA, fixed={**ONE_ALPHA.fixed, "edit.purify": "harmless_mean"})),
    "saber-seed": Method(
        (
            "edit=saber_seed",
            *_space(
                PROBES,
                "max_iterations: {low: 1, high: 4}, alpha_base: {low: 0.4, high: 1.2, step: 0.025},"
                " alpha_entangled: {low: 0.0, high: 0.6, step: 0.01},"
                " entanglement_threshold: {low: 0.2, high: 0.9, step: 0.05}, global_top_k: {low: 4, high: 28}",
            ),
            "study.enqueue=[{data.n_probe: 60, edit.alpha_base: 0.825, edit.alpha_entangled: 0.03,"
            " edit.entanglement_threshold: 0.55, edit.global_top_k: 14, edit.max_iterations: 4}]",
        )
    ),
    "arditi": _one_direction("arditi"),
    "projected": _one_direction("projected"),
    "projected-read": _one_direction("projected_read", also=", reader_ridge: {low: 0.1, high: 10.0, log: true}"),
    "biprojected": _one_direction("projected", control=Control(steps=biprojected)),
    "surgical": _one_direction(
        "arditi", "++edit.purify=subspace", also=", purify_rank: {low: 1, high: 16}", known=", edit.purify_rank: 8"
    ),
    "kernel": Method(
        (
            "edit=kernel",
            "++edit.kernel.per_layer={peak: 0.0, position: 0.6, floor: 0.0, half_width: 0.6}",
            "++data.n_probe=144",
            *_space(
                "",
                "kernel: {direction: {choices: [global, per_layer]},"
                f" direction_position: {{low: 0.4, high: 0.9}}, {_tent('attention')}, {_tent('mlp')}}}",
            ),
            "study.enqueue=[]",
        )
    ),
    HERETIC: Method(),
    ARA: Method(("++data.n_probe=144", "~space.data", "study.enqueue=[]")),
    **{name: Method(NONE_SPARED, control, "organism") for name, control in INPUT_CONTROLS.items()},
    **{name: Method(control=control) for name, control in CONTROLS.items()},
    **{name: Method(*lever) for name, lever in LEVERS.items()},
}


def n_startup(n_trials: int) -> int:
    """How many of a peer's trials are random at first."""
    return round(RANDOM_SHARE * n_trials)
