"""Read: what a writer's output is read with before a direction is taken out of it.

An edit takes Q diag(a) P^T y from a write y. With P = Q the projection is orthogonal, and it disturbs every prompt
whose write happens to lean on a direction. With any other P of P^T Q = I, what a write has more of a direction is taken
out just as well: Q c is mapped to 0. The one that leaves other prompts most alone is the linearly constrained
minimum-variance beamformer (Frost 1972). Those are harmless and capability prompts, and harmful ones where only
false refusals are to go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import torch
from jaxtyping import Float
from torch import Tensor

from saber.options.reading_options import ReadingOptions
from saber.types import Round
from saber.vocabulary import Reader

# Takes unit directions (k, d_model), what is undisturbed at a layer by population, and the options; gives (k, d_model).
Readers = Callable[[Tensor, Sequence[Tensor], ReadingOptions], Tensor]


def reader(name: Reader) -> Readers:
    """The function of a reader of outputs: ``readers`` of the file of its name."""
    readers: Readers = import_module(f"saber.method.readers.{name}").readers
    return readers


def readers_of(
    placed: Round,
    undisturbed: Sequence[Float[Tensor, "layer _ d_model"]],
    options: ReadingOptions,
    *,
    found_at: Sequence[int],
) -> Float[Tensor, "direction layer d_model"]:
    """What a round's directions are read with at every layer where they act, zero elsewhere.

    At each layer they spare what is undisturbed there; with ``edit.reader_layer=own`` what is undisturbed at the layer
    where a direction was found, ``found_at``, and it is read alike wherever it acts.
    """
    n_directions, n_layers, _ = placed.strengths.shape
    readers = torch.zeros(n_directions, n_layers, placed.directions.shape[1])
    acts = placed.strengths.abs().sum(dim=2) > 0
    own = options.reader_layer == "own"
    spares_at = torch.tensor(found_at).unsqueeze(1) if own else torch.arange(n_layers).unsqueeze(0)
    read = reader(options.reader)
    for layer in range(n_layers):
        here = acts & (spares_at == layer)  # where a direction is read sparing what is undisturbed at this layer
        chosen = torch.nonzero(here.any(dim=1)).flatten()
        if len(chosen):
            read_with = read(placed.directions[chosen], [x[layer] for x in undisturbed], options).cpu()
            readers[chosen] = torch.where(here[chosen].unsqueeze(2), read_with.unsqueeze(1), readers[chosen])
    return readers
