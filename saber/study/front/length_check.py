"""The length check: replies that the limit cut are decoded to twice of it, to see how many labels would flip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter

from saber.lm.editing.apply import applied
from saber.lm.editing.plan_file import load_plan
from saber.lm.evaluation.measurement import label
from saber.lm.evaluation.outcomes import rates
from saber.lm.evaluation.protocol import ordered, protocol_digest, under
from saber.lm.inference.batches import tokenise
from saber.lm.inference.generation.greedy import Decoded, greedy, limits_of
from saber.lm.inference.thought import Limits
from saber.study.context import Workbench
from saber.study.store.records import plan_path
from saber.study.store.score_cache import Kept
from saber.types import EditPlan, FrontierPoint, LengthCheck, Prompt, Response

TIMES_LONGER = 2
_CHECK = TypeAdapter(LengthCheck)


def length_checks(
    bench: Workbench, front: Sequence[FrontierPoint], responses: Mapping[int, Sequence[Response]]
) -> dict[str, LengthCheck]:
    """By plan digest, what a limit twice as long changes on the tune split; what was checked is not checked again.

    ``responses`` are the trials' own by number: those that had ended by themselves need no second decoding.
    """
    protocol = protocol_digest(bench.adapter, bench.splits["tune"], bench.config.evaluate)
    kept = Kept(bench.folder / "length_check.json", f"{bench.model_digest} {protocol} x{TIMES_LONGER}")
    said = {p.plan_digest: responses.get(p.number, ()) if p.tune.protocol == protocol else () for p in front}
    missing = [digest for digest in said if digest not in kept.rows]
    size = bench.config.launch.batch
    for start in range(0, len(missing), size):
        digests = missing[start : start + size]
        plans = [load_plan(plan_path(bench.folder, digest), digest) for digest in digests]
        checks = check_lengths(bench, plans, [said[digest] for digest in digests])
        kept.add({d: _CHECK.dump_python(check, mode="json") for d, check in zip(digests, checks, strict=True)})
    return {digest: _CHECK.validate_python(row) for digest, row in kept.rows.items()}


def check_lengths(bench: Workbench, plans: Sequence[EditPlan], said: Sequence[Sequence[Response]]) -> list[LengthCheck]:
    """Decode to twice the limits what did not end within them under each plan, and label it at both lengths.

    ``said`` are each plan's responses to the tune split, empty where they are not known.
    """
    profile = bench.config.evaluate
    limits = limits_of(bench.adapter, profile.max_new_tokens, profile.max_thinking_tokens)
    prompts = ordered(bench.splits["tune"])
    ended = [ended_within(prompts, own_said) for own_said in said]
    asked = [i for i in range(len(prompts)) if any(i not in places for places in ended)]
    checks: list[LengthCheck] = []
    for same, longer in zip(ended, _decode(bench, plans, [prompts[i] for i in asked]), strict=True):
        again = [(prompts[i], reply) for i, reply in zip(asked, longer, strict=True) if i not in same]
        cut_off = [(prompt, cut(reply, limits)) for prompt, reply in again]
        short, long = ([*same.values(), *_labelled(bench, replies)] for replies in (cut_off, again))
        checks.append(compared(short, long, profile.max_new_tokens))
    return checks


def _labelled(bench: Workbench, replies: Sequence[tuple[Prompt, Decoded]]) -> tuple[Response, ...]:
    if not replies:  # a tokenizer makes one text of no rows
        return ()
    prompts, decoded = zip(*replies, strict=True)
    return label(bench.adapter, prompts, decoded, bench.config.evaluate)


def _decode(bench: Workbench, plans: Sequence[EditPlan], prompts: Sequence[Prompt]) -> list[list[Decoded]]:
    """Replies of twice the limit to the prompts, by plan."""
    if not prompts:
        return [[] for _ in plans]
    profile = bench.config.evaluate
    with applied(bench.adapter, plans):
        return greedy(
            bench.adapter,
            tokenise(under(bench.adapter, profile), prompts),
            max_new_tokens=TIMES_LONGER * profile.max_new_tokens,
            max_thinking_tokens=TIMES_LONGER * profile.max_thinking_tokens,
            batch_size=profile.batch_size,
            n_trials=len(plans),
        )


def ended_within(prompts: Sequence[Prompt], said: Sequence[Response]) -> dict[int, Response]:
    """By the prompt's place, the responses that ended by themselves; none where these are not the prompts' own."""
    if [response.prompt.text for response in said] != [prompt.text for prompt in prompts]:
        return {}
    return {i: response for i, response in enumerate(said) if response.finished}


def cut(decoded: Decoded, limits: Limits) -> Decoded:
    """What shorter limits would have given: greedy tokens do not depend on them, but the end may no longer fit."""
    n = limits.cut(decoded.whole)
    has_ended = decoded.end is not None and len(decoded.tokens) < n
    return Decoded(decoded.tokens[:n], decoded.end if has_ended else None)


def compared(short: Sequence[Response], long: Sequence[Response], limit: int) -> LengthCheck:
    """Count the labels that flip, as ``truncated -> refuse``, and the refusal rates at the longer limit."""
    flips = Counter(f"{a.label} -> {b.label}" for a, b in zip(short, long, strict=True) if a.label != b.label)
    return LengthCheck(TIMES_LONGER * limit, len(long), dict(sorted(flips.items())), rates(long))
