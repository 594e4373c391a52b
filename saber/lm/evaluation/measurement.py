"""Measure T edited models on one split: refusals, over-refusals, what is retained, capability, degeneration, drift."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from saber.config import EvaluateConfig
from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.compiled import CompiledPlan
from saber.lm.evaluation.outcomes import drift_by_category, rates, retained
from saber.lm.evaluation.passes import remember, reply_to_the_rest, run
from saber.lm.evaluation.protocol import label_text, ordered, protocol_digest
from saber.lm.evaluation.reference import Reference, make_reference
from saber.lm.evaluation.sought import Sought, stand_in
from saber.lm.evaluation.teacher_forcing import POSITIONS
from saber.lm.inference.generation.greedy import Decoded
from saber.lm.inference.thought import ThoughtReader, parted
from saber.method.ranking import residual_refusal
from saber.metrics import DRIFT, RESIDUAL
from saber.scoring.divergence import drift_profile
from saber.scoring.labelling import is_correct
from saber.scoring.refusals import Label
from saber.scoring.statistics import bootstrap_mean
from saber.types import EditPlan, Estimate, Metrics, Prompt, Response, Split, UserError

FEWEST_OF_A_KIND = 2  # of one prompt there is no variance
N_LABELS = 2**15  # some hundred trials' distinct replies


@dataclass(frozen=True)
class Measured:
    """The metrics of one edited model and the responses they come from."""

    metrics: Metrics
    responses: tuple[Response, ...]


def measure(
    adapter: Adapter,
    data: Split | Sequence[Prompt],
    profile: EvaluateConfig | None = None,
    *,
    plan: EditPlan | None = None,
    reference: Reference | None = None,
    edited_layers: Sequence[int] = (),
) -> Metrics:
    """Measure a model, edited by ``plan`` if there is one, against ``reference`` or else its own unedited self.

    Plain prompts are measured as a tune split, under the default protocol unless ``profile`` says otherwise.
    ``edited_layers`` are those that were edited in the weights, for the residual proxy.
    """
    split = data if isinstance(data, Split) else Split("tune", tuple(data))
    protocol = profile if profile is not None else EvaluateConfig()
    base = reference if reference is not None else make_reference(adapter, split, protocol)
    edit = plan if plan is not None else EditPlan(())
    layers = tuple(edited_layers) or edit.edited_layers
    (measured,) = measure_trials(adapter, split, protocol, base, [edit], edited_layers=[layers])
    return measured.metrics


def measure_trials(
    adapter: Adapter,
    split: Split,
    profile: EvaluateConfig,
    reference: Reference,
    plans: Sequence[EditPlan | CompiledPlan],
    *,
    edited_layers: Sequence[Sequence[int]] | None = None,
    sought: Sought | None = None,
) -> list[Measured]:
    """Measure T plans in the same passes: one teacher-forced, one greedy decoding of what it leaves open.

    The residual proxy is taken over each plan's own layers unless ``edited_layers`` says which. With ``sought``, every
    trial replies to its kinds of prompts, and one that goes on to the others as well; a rate that would count a reply
    that was not given is left out.
    """
    prompts, protocol = ordered(split), protocol_digest(adapter, split, profile)
    first = None if sought is None else [i for i, prompt in enumerate(prompts) if prompt.kind in sought.kinds]
    seen = run(adapter, prompts, profile, reference, plans, first)
    layers = edited_layers if edited_layers is not None else [plan.edited_layers for plan in plans]

    def measured_by(t: int, replies: Sequence[Decoded], read: Collection[int]) -> Measured:
        by_prompt: dict[str, Tensor] = {name: seen.drift_nats[name][t] for name in POSITIONS}
        responses = with_drift(_responses(adapter, prompts, replies, read, profile), by_prompt, profile)
        said = tuple(response for i, response in enumerate(responses) if i in read)
        missing = [response for i, response in enumerate(responses) if i not in read]
        metrics = Metrics(
            rates(said, missing) | drifts(by_prompt, profile) | residual(seen.residuals[t], prompts, layers[t]),
            retained(said),
            protocol,
            split.name,
            drift_by_category=drift_by_category(responses, profile.n_bootstrap),
            worst_drift=worst_drift(responses),
        )
        return Measured(metrics, said)

    replies = list(seen.replies)
    measured = [measured_by(t, said, seen.replied) for t, said in enumerate(replies)]
    if sought is not None and len(seen.replied) < len(prompts):
        going_on = [t for t, trial in enumerate(measured) if sought.goes_on(trial.metrics)]
        for t, said in zip(
            going_on, reply_to_the_rest(adapter, profile, reference, plans, seen, going_on), strict=True
        ):
            replies[t], measured[t] = said, measured_by(t, said, range(len(prompts)))
    remember(reference, seen, replies)
    return measured


def _responses(
    adapter: Adapter,
    prompts: Sequence[Prompt],
    replies: Sequence[Decoded],
    read: Collection[int],
    profile: EvaluateConfig,
) -> tuple[Response, ...]:
    """A response to every prompt in their order: labelled where the reply was read, else a stand-in."""
    places = sorted(read)
    labelled = label(adapter, [prompts[i] for i in places], [replies[i] for i in places], profile) if places else ()
    by_place = dict(zip(places, labelled, strict=True))
    return tuple(by_place.get(i) or stand_in(prompt, profile) for i, prompt in enumerate(prompts))


def residual(
    residuals: Float[Tensor, "layer prompt d_model"], prompts: Sequence[Prompt], edited: Sequence[int]
) -> dict[str, Estimate]:
    """The residual proxy of the split's own harmful and harmless prompts; n is the number of layers.

    It is left out where the split lacks one of the two kinds.
    """
    harmful, harmless = ([i for i, p in enumerate(prompts) if p.kind == kind] for kind in ("harmful", "harmless"))
    if min(len(harmful), len(harmless)) < FEWEST_OF_A_KIND:
        return {}
    value = residual_refusal(residuals[:, harmful], residuals[:, harmless], edited)
    return {RESIDUAL: Estimate(value, len(edited) or len(residuals), value, value)}


def measurable(split: Split, profile: EvaluateConfig) -> frozenset[str]:
    """The metrics that can be measured on a split: those whose prompts it has."""
    names = set(rates([stand_in(prompt, profile, thought=None) for prompt in ordered(split)]))
    n_drift = sum(prompt.kind in profile.drift_kinds for prompt in split.prompts)
    if n_drift:
        names |= drifts({name: torch.zeros(n_drift) for name in POSITIONS}, replace(profile, n_bootstrap=100)).keys()
    if min(len(split.of("harmful")), len(split.of("harmless"))) >= FEWEST_OF_A_KIND:
        names.add(RESIDUAL)
    return frozenset(names)


def label(
    adapter: Adapter, prompts: Sequence[Prompt], decoded: Sequence[Decoded], profile: EvaluateConfig
) -> tuple[Response, ...]:
    """Turn decoded tokens into labelled responses: of a model that may think, by the answer behind its thought."""
    thinking = adapter.chat.thinking
    reader = None if thinking is None else ThoughtReader(adapter.tokenizer, thinking)
    parts = [None if reader is None else parted(reader, reply_tokens.tokens) for reply_tokens in decoded]
    answers = [
        list(reply_tokens.tokens if part is None else part.answer)
        for reply_tokens, part in zip(decoded, parts, strict=True)
    ]
    texts = adapter.tokenizer.batch_decode(answers, skip_special_tokens=True)
    responses: list[Response] = []
    for prompt, reply, part, text in zip(prompts, decoded, parts, texts, strict=True):
        name, marker = _label(text, prompt.text, profile, reply.finished)
        if part is not None and part.has_ended is False:
            name, marker = "truncated", None
        right = _is_right(text, prompt)
        response = Response(prompt, text, name, marker, right, finished=reply.finished, labeller=profile.labeller)
        if part is not None:
            response = replace(response, thought=part.thought, thought_ended=part.has_ended)
        responses.append(response)
    return tuple(responses)


def _is_right(text: str, prompt: Prompt) -> bool | None:
    return None if prompt.answer is None else is_correct(text, prompt.answer)


@lru_cache(maxsize=N_LABELS)
def _label(text: str, prompt: str, profile: EvaluateConfig, finished: bool) -> tuple[Label, str | None]:
    """`label_text`, looked up for what was said before: most of a trial's replies were."""
    return label_text(text, prompt, profile, finished=finished)


def with_drift(
    responses: Sequence[Response], by_prompt: Mapping[str, torch.Tensor], profile: EvaluateConfig
) -> tuple[Response, ...]:
    """Give each drift prompt's response its KL in nats at every kind of position, and the objective one as ``kld``."""
    drifted = list(responses)
    drifting = [i for i, response in enumerate(responses) if response.prompt.kind in profile.drift_kinds]
    for at, i in enumerate(drifting):
        drift = {f"{DRIFT}_{name}": float(values[at]) for name, values in by_prompt.items()}
        drifted[i] = replace(drifted[i], drift={DRIFT: drift[f"{DRIFT}_{profile.kld_positions}"], **drift})
    return tuple(drifted)


def worst_drift(responses: Sequence[Response]) -> str:
    """The prompt that drifted most, by its kind, its number among the responses and its category, not by its text."""
    drifts = [(response.drift[DRIFT], -i) for i, response in enumerate(responses) if DRIFT in response.drift]
    at = -max(drifts)[1]
    prompt = responses[at].prompt
    return f"{prompt.kind} prompt {at}" + (f" ({prompt.category})" if prompt.category else "")


def drifts(by_prompt: Mapping[str, torch.Tensor], profile: EvaluateConfig) -> dict[str, Estimate]:
    """Mean KL with bootstrap interval at each kind of position, and the profile over prompts of the objective one.

    Raises:
        UserError: the split has no prompts of the kinds that the profile measures drift on.
    """
    if by_prompt[profile.kld_positions].numel() == 0:
        kinds = " or ".join(profile.drift_kinds)
        raise UserError(f"expected {kinds} prompts to measure drift on, found none in the split: name some")
    estimates: dict[str, Estimate] = {}
    for name, values in by_prompt.items():
        estimates[f"{DRIFT}_{name}"] = bootstrap_mean(values.numpy(), n_resamples=profile.n_bootstrap, seed=0)
    objective = by_prompt[profile.kld_positions]
    estimates[DRIFT] = estimates[f"{DRIFT}_{profile.kld_positions}"]
    about = drift_profile(objective)
    for name, value in {
        "median": about["median"],
        "p95": about["p95"],
        "max": about["max"],
        "worst_share": about["worst_share"],
    }.items():
        estimates[f"{DRIFT}_{name}"] = Estimate(value, len(objective), value, value)
    return estimates
