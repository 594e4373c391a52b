"""The length check: front points decoded to twice the limit, to see how many labels a longer reply would flip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from saber.lm.adapter import Adapter
from saber.lm.batches import tokenise
from saber.lm.editing import applied
from saber.lm.generation import Decoded, greedy
from saber.lm.measurement import label
from saber.lm.outcomes import rates
from saber.lm.plan_file import load_plan
from saber.lm.protocol import ordered, protocol_digest, under
from saber.study.kept import Kept
from saber.study.records import plan_path
from saber.study.workbench import Workbench
from saber.types import EditPlan, FrontierPoint, LengthCheck, Response

TIMES_LONGER = 2
_CHECK = TypeAdapter(LengthCheck)


def length_checks(bench: Workbench, front: Sequence[FrontierPoint]) -> dict[str, LengthCheck]:
    """By plan digest, what a limit twice as long changes on the tune split; what was checked is not checked again."""
    protocol = protocol_digest(bench.adapter, bench.splits["tune"], bench.config.evaluate)
    kept = Kept(bench.folder / "length_check.json", f"{bench.model_digest} {protocol} x{TIMES_LONGER}")
    missing = list(dict.fromkeys(p.plan_digest for p in front if p.plan_digest not in kept.rows))
    size = bench.config.launch.trials_per_batch
    for start in range(0, len(missing), size):
        digests = missing[start : start + size]
        plans = [load_plan(plan_path(bench.folder, digest)) for digest in digests]
        found: dict[str, Any] = {
            digest: _CHECK.dump_python(check, mode="json")
            for digest, check in zip(digests, check_lengths(bench, plans), strict=True)
        }
        kept.add(found)
    return {digest: _CHECK.validate_python(row) for digest, row in kept.rows.items()}


def check_lengths(bench: Workbench, plans: Sequence[EditPlan]) -> list[LengthCheck]:
    """Decode under each plan to twice the limit, and label each reply as far as the limit and as far as it goes."""
    profile = bench.config.evaluate
    prompts = ordered(bench.splits["tune"])
    limit = profile.max_new_tokens
    with applied(bench.adapter, plans):
        decoded = greedy(
            bench.adapter,
            tokenise(under(bench.adapter, profile), prompts),
            max_new_tokens=TIMES_LONGER * limit,
            batch_size=profile.batch_size,
            n_trials=len(plans),
        )

    def labelled(adapter: Adapter, some: Sequence[Decoded]) -> tuple[Response, ...]:
        return label(adapter, prompts, some, profile)

    return [
        compared(labelled(bench.adapter, [cut(one, limit) for one in long]), labelled(bench.adapter, long), limit)
        for long in decoded
    ]


def cut(decoded: Decoded, limit: int) -> Decoded:
    """What a shorter limit would have given: greedy tokens do not depend on it, but the end may no longer fit."""
    has_ended = decoded.end is not None and len(decoded.tokens) < limit
    return Decoded(decoded.tokens[:limit], decoded.end if has_ended else None)


def compared(short: Sequence[Response], long: Sequence[Response], limit: int) -> LengthCheck:
    """Count the labels that flip, as ``truncated -> refuse``, and the refusal rates at the longer limit."""
    flips = Counter(f"{a.label} -> {b.label}" for a, b in zip(short, long, strict=True) if a.label != b.label)
    return LengthCheck(TIMES_LONGER * limit, len(long), dict(sorted(flips.items())), rates(long))
