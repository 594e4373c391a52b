"""Drift: KL from the base to T edited models at the positions of the reference, in one teacher-forced pass.

The same pass says how far each edited model's greedy reply is the base's own, which need not be decoded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation.base_logits import TeacherForced
from saber.lm.evaluation.reference import Reference
from saber.lm.inference.batches import Batch
from saber.lm.inference.generation.greedy import end_tokens
from saber.lm.inference.generation.suppression import most_likely, suppressed_of
from saber.lm.inference.prefix import PrefixRead
from saber.lm.inference.residuals import LastTokens
from saber.scoring.divergence import kl_divergence_nats
from saber.vocabulary import DriftPosition

POSITIONS: tuple[DriftPosition, ...] = ("first", "prompt", "response")
SOFTMAX_BYTES = 24  # a token and position: six fp32 arrays are alive in one divergence
CACHED_LOGITS = 2**18  # on a processor: so many of a piece and all that is made of them stay in its caches


@dataclass(frozen=True, eq=False)
class Drift:
    """KL(P_base || P_edited) in nats by trial and drift prompt, and how each edited model's greedy reply begins.

    The beginning is the base's reply up to the first token where the edited model differs, and that token of its own.
    """

    nats: dict[str, Float[Tensor, "trial prompt"]]
    beginnings: list[list[tuple[int, ...]]]


@torch.inference_mode()
def drift_of(
    adapter: Adapter,
    reference: Reference,
    *,
    n_trials: int,
    batch_size: int,
    prefix: PrefixRead | None = None,
    last_tokens: LastTokens | None = None,
) -> Drift:
    """Force the base's replies on T edited models: the mean KL over first, prompt or response positions by prompt.

    Call it inside ``applied`` with ``n_trials`` plans; ``prefix`` is the reference's as they read it, where they did.
    """
    device = adapter.device
    prefix = prefix or PrefixRead()
    sums = {name: torch.zeros(n_trials, reference.n_drift, device=device) for name in POSITIONS}
    counts = {name: torch.zeros(reference.n_drift, device=device) for name in POSITIONS}
    beginnings: list[list[tuple[int, ...]]] = [[()] * reference.n_drift for _ in range(n_trials)]
    for part in reference.drift:
        nats = torch.empty(n_trials, len(part.row), device=device)
        likely = torch.empty(n_trials, len(part.row), dtype=torch.long, device=device)
        for rows in _rows_at_once(part, batch_size, n_trials):
            _force(adapter, part, rows, reference, prefix, nats, likely, last_tokens)
        prompt = part.prompt.to(device)
        for name, where in zip(POSITIONS, (part.is_first, part.is_prompt, part.is_response), strict=True):
            counted = where.to(device)
            sums[name].index_add_(1, prompt[counted], nats[:, counted])
            counts[name].index_add_(0, prompt[counted], torch.ones(int(counted.sum()), device=device))
        for i, reply, tokens in _replies(part, likely):
            for t in range(n_trials):
                beginnings[t][i] = beginning(reply, tokens[t])
    return Drift({name: (sums[name] / counts[name]).cpu() for name in POSITIONS}, beginnings)


def beginning(reply: list[int], most_likely: list[int]) -> tuple[int, ...]:
    """What greedy decoding says for certain, from what it finds likely at every position of a reply forced on it."""
    for n, (token, likely) in enumerate(zip(reply, most_likely, strict=True)):
        if token != likely:
            return (*reply[:n], likely)
    return tuple(reply)


def _rows_at_once(part: TeacherForced, batch_size: int, n_trials: int) -> Iterator[slice]:
    """As many rows as keep trials x rows within the batch size, and within the part's own rows: its memory budget."""
    n_rows = len(part.batch.input_ids)
    step = max(1, min(batch_size, n_rows) // n_trials)
    return (slice(start, start + step) for start in range(0, n_rows, step))


def _replies(
    part: TeacherForced, likely: Int[Tensor, "trial position"]
) -> Iterator[tuple[int, list[int], list[list[int]]]]:
    """Each drift prompt of a part with its forced reply and what every trial finds likely along it."""
    wanted = part.is_response.to(likely.device)
    prompts = part.prompt[part.is_response].tolist()
    ids = part.batch.input_ids.to(part.row.device)
    forced = ids[part.row, part.column + 1][part.is_response].tolist()
    tokens = likely[:, wanted].tolist()
    start = 0
    for end in range(1, len(prompts) + 1):
        if end == len(prompts) or prompts[end] != prompts[start]:
            yield prompts[start], forced[start:end], [of[start:end] for of in tokens]
            start = end


def _force(
    adapter: Adapter,
    part: TeacherForced,
    rows: slice,
    reference: Reference,
    prefix: PrefixRead,
    nats: Float[Tensor, "trial position"],
    likely: Int[Tensor, "trial position"],
    last_tokens: LastTokens | None,
) -> None:
    """One pass over some rows of a part, filling in the KL and the most likely token at each of their positions."""
    device, n_trials = adapter.device, len(nats)
    batch = Batch(part.batch.input_ids[rows].to(device), part.batch.attention_mask[rows].to(device)).for_trials(
        n_trials
    )
    inside = torch.nonzero((part.row >= rows.start) & (part.row < rows.stop)).flatten()
    if last_tokens is not None:
        _expect(part, rows, inside, n_trials, last_tokens, reference)
    out = adapter.model(**prefix.inputs(batch), use_cache=prefix.cache is not None)
    logits, position = out.logits.unflatten(0, (n_trials, -1)), batch.position_ids
    suppressed = suppressed_of(adapter.model.generation_config, end_tokens(adapter))
    for here in torch.split(inside, _positions_at_once(reference.part_bytes, part.logits.shape[-1], device)):
        base = part.logits[here].to(device)
        row, column = part.row[here] - rows.start, part.column[here]
        before = [] if suppressed is None else _before(part, here)
        for t in range(n_trials):
            edited = prefix.logits_at(logits[t], t, row, column, position[row, column])
            nats[t, here.to(device)] = kl_divergence_nats(base, edited)
            if suppressed is None:
                likely[t, here.to(device)] = most_likely(edited)
            else:
                likely[t, here.to(device)] = suppressed.likely(edited, part.is_first[here].to(device), before)


def _before(part: TeacherForced, here: Int[Tensor, " position"]) -> list[list[int]]:
    """The tokens up to each of some positions, padding left out."""
    ids, mask = part.batch.input_ids.tolist(), part.batch.attention_mask.sum(dim=1).tolist()
    width = part.batch.input_ids.shape[1]
    places = zip(part.row[here].tolist(), part.column[here].tolist(), strict=True)
    return [ids[row][width - mask[row] : column + 1] for row, column in places]


def _positions_at_once(part_bytes: int, n_vocab: int, device: torch.device) -> int:
    """How many positions one divergence is taken at: within the budget, and on a processor within its caches."""
    budget = part_bytes // (SOFTMAX_BYTES * n_vocab)
    return max(1, min(budget, CACHED_LOGITS // n_vocab) if device.type == "cpu" else budget)


def _expect(
    part: TeacherForced, rows: slice, inside: Tensor, n_trials: int, last_tokens: LastTokens, reference: Reference
) -> None:
    """Tell where the prompts of some rows end: the position that predicts the first token of the reply."""
    first = inside[part.is_first[inside]]
    width, n_rows = part.batch.input_ids.shape[1], len(part.batch.input_ids[rows])
    row, column, prompt = (x[first].tolist() for x in (part.row, part.column, part.prompt))
    ends = [
        (t * n_rows + r - rows.start, reference.drifting[p])
        for t in range(n_trials)
        for r, p in zip(row, prompt, strict=True)
    ]
    last_tokens.expect(ends, [width - c for c in column] * n_trials, n_rows * n_trials)
