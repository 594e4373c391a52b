"""The model card of an exported point, in the order of the published seed card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import ModelCardData

from saber.keys import changes_plan, option_of, options
from saber.metrics import DRIFT, PROTECTED_REFUSAL, REFUSAL
from saber.publish.analysis.chat_words import chat_text
from saber.publish.analysis.label_checks import agreement_text, flips_text
from saber.publish.analysis.neighbours import indistinct_pairs
from saber.publish.analysis.probe_count_finding import Correlation, key_findings
from saber.publish.analysis.settings import edit_of, probe_counts, protected_categories, setting
from saber.publish.analysis.unmeasured import lacks_text
from saber.publish.card.card_tables import (
    comparison_table,
    drift_table,
    evaluation_table,
    glance_table,
    published_table,
    retained_table,
    writers_table,
)
from saber.publish.card.front_picture import PICTURE
from saber.publish.card.made_again import commands_again
from saber.publish.text.markdown import Md, bullets, code, markdown_environment
from saber.publish.text.wording import MISSING, counted, label, listed, metric_text, mixed_protocols
from saber.types import Frontier, FrontierPoint, Metrics

INSTRUCTION_SUFFIXES = re.compile(r"-(it|instruct|chat)$", re.IGNORECASE)

# The seed card's lines, first and in its order; the other labelled keys where the study says them.
SEED_KEYS = (
    "edit.extraction",
    "edit.n_directions",
    "edit.layer_strategy",
    "edit.global_top_k",
    "edit.alpha_base",
    "edit.alpha_entangled",
    "edit.entanglement_threshold",
    "edit.max_iterations",
)
SAID_ELSEWHERE = {"data.n_probe", "data.n_capability", "data.n_borderline"}


def render_card(
    frontier: Frontier,
    point: FrontierPoint,
    comparison: FrontierPoint | None,
    exported: Metrics,
    writers: Sequence[Mapping[str, object]],
    versions: Mapping[str, str],
    plan_summary: Mapping[str, object],
    metadata: ModelCardData,
) -> str:
    """The card in Markdown with YAML front matter; names in it are escaped."""
    report = exported if exported.split == "report" else point.report
    tune = exported if exported.split == "tune" else point.tune
    return markdown_environment().get_template("card.md.j2").render(
        title=_title(frontier.base_model),
        metadata=Md(metadata.to_yaml()),
        glance=glance_table(frontier, report or tune),
        glance_split="held-out report" if report else "tune",
        protected=sorted(protected_categories(frontier)),
        form=plan_summary.get("format", "merged"),
        unpacked_from=plan_summary.get("unpacked_from"),
        picture=PICTURE,
        base_model=frontier.base_model,
        point_words=listed([*point.marks]) if point.marks else "Pareto" if point.on_front else "off-front",
        released=_released(frontier, point),
        evaluation=evaluation_table(frontier, point, tune, report),
        was_remeasured="held-out" if exported.split == "report" else "tune",
        as_trial=_as_trial(point),
        protocol=exported.protocol,
        chat=chat_text(frontier),
        other_protocols=_other_protocols(frontier, point, exported),
        standing=_standing(frontier, point, comparison, tune),
        comparison=comparison_table(frontier, point, comparison) if comparison else None,
        comparison_words=listed([*comparison.marks]) if comparison and comparison.marks else None,
        indistinct=_indistinct(point, comparison),
        published=published_table(frontier.published) if frontier.published else None,
        findings=[_finding_text(finding) for finding in key_findings(frontier)],
        retained=retained_table(frontier, tune, report),
        drift=drift_table(tune, report),
        worst_drift=tune.worst_drift,
        longer=_longer(point),
        judged=None if point.judgement is None else f"{point.judgement.judge}: {agreement_text(point.judgement)}",
        gap=_gap(point.tune, report),
        zero_refusals=_zero_refusals(tune),
        writers=writers_table(writers),
        n_writers=counted(len(writers), "edited writer"),
        plan=_plan(point, plan_summary),
        versions=bullets(versions),
        commands=commands_again(frontier, point),
    )  # fmt: skip


def _title(base_model: str) -> str:
    """``google/gemma-4-E4B-it`` gives ``Gemma 4 E4B SABER``."""
    stem = INSTRUCTION_SUFFIXES.sub("", re.split(r"[/\\]", base_model.rstrip("/\\"))[-1])
    words = [word.capitalize() if word.islower() else word for word in stem.replace("-", " ").split()]
    return " ".join([*words, "SABER"])


def _released(frontier: Frontier, point: FrontierPoint) -> Md:
    """What the checkpoint was made with: the seed's lines, our further ones, and any other searched key."""
    items: list[tuple[str, object]] = [
        ("Run", code(f"{frontier.study}_{point.name}")),
        ("Base", code(frontier.base_model)),
    ]
    edit = edit_of(frontier, point)
    shown = {key: option_of(key).label for key in options() if changes_plan(key, edit)}
    if protection := _protection(frontier, point):
        items.append(("Protected categories", protection))
    items += [(shown[key], _value(setting(frontier, point, key))) for key in SEED_KEYS if key in shown]
    counts = probe_counts(frontier, point)
    probe = " / ".join(f"{MISSING if n is None else n} {kind}" for kind, n in counts.items())
    items.append(("Probe set", f"{probe} prompts"))
    more = {key: setting(frontier, point, key) for key, name in shown.items() if name and key not in SEED_KEYS}
    items += [(shown[key], _value(value)) for key, value in more.items() if value is not None]
    said = {key for key in options() if option_of(key).label} | SAID_ELSEWHERE
    items += [(key, _value(value)) for key, value in point.params.items() if key not in said]
    return bullets(items)


def _protection(frontier: Frontier, point: FrontierPoint) -> str:
    """Whether refusals in protected categories were spared; nothing where the data names no such category."""
    if not frontier.settings.get("protected"):
        return ""
    spared = setting(frontier, point, "edit.reader") == "inputs" and setting(frontier, point, "edit.protects") != "none"
    kept = point.tune.estimates.get(PROTECTED_REFUSAL)
    before = frontier.base_tune.estimates.get(PROTECTED_REFUSAL)
    how = "their refusals are spared" if spared else "their refusals are taken away like any other"
    if kept is None or before is None:
        return how
    return f"{how}: {metric_text(point.tune, PROTECTED_REFUSAL)} refused, the base {100 * before.value:.0f}%"


def _value(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(item) for item in value)
    return str(value).replace("_", "-").replace("svd", "SVD") if isinstance(value, str) else str(value)


def _as_trial(point: FrontierPoint) -> Md:
    return Md(f"refusal {metric_text(point.tune, REFUSAL)} and KLD {metric_text(point.tune, DRIFT)}")


def _other_protocols(frontier: Frontier, point: FrontierPoint, exported: Metrics) -> list[str]:
    """Protocols of numbers on this card that differ from the exported checkpoint's own."""
    return mixed_protocols([exported, point.tune, point.report, frontier.base_tune, frontier.base_report])


def _standing(frontier: Frontier, point: FrontierPoint, comparison: FrontierPoint | None, tune: Metrics) -> str:
    """Where the point stands on the front, in the seed's words as far as they are true of it."""
    if not point.on_front:
        text = (
            "This point is not on the Pareto front of its study: another trial is at least as good in every objective."
        )
        return f"{text} {lacks_text(frontier, point)}".strip()
    kind = "the most aggressive" if "aggressive" in point.marks else f"the {listed([*point.marks])}"
    text = f"This point is {kind if point.marks else 'a'} point of its study's Pareto front"
    refusal = tune.estimates.get(REFUSAL)
    if refusal is not None and refusal.value == 0:
        text += f": no keyword refusal was left in the local test set ({refusal.n} prompts)"
    return f"{text}{_drift_beside(point, comparison)}."


def _drift_beside(point: FrontierPoint, comparison: FrontierPoint | None) -> str:
    if comparison is None or not (DRIFT in point.tune.estimates and DRIFT in comparison.tune.estimates):
        return ""
    ours, theirs = point.tune[DRIFT], comparison.tune[DRIFT]
    name = f"the {listed([*comparison.marks])} point" if comparison.marks else "the comparison point"
    if ours == theirs:
        return f", with the same drift as {name}"
    return f", with {'higher' if ours > theirs else 'lower'} behavioral drift than {name}"


def _indistinct(point: FrontierPoint, comparison: FrontierPoint | None) -> bool:
    """Whether the refusal rates of the two points can't be told apart."""
    return comparison is not None and bool(indistinct_pairs([point, comparison]))


def _longer(point: FrontierPoint) -> str | None:
    """What a longer limit changes in the labels."""
    check = point.longer
    return None if check is None else f"at {check.max_new_tokens} new tokens, twice the limit, {flips_text(check)}"


def _gap(tune: Metrics, report: Metrics | None) -> Md | None:
    if report is None:
        return None
    return Md(f"{metric_text(tune, REFUSAL)} on tune, {metric_text(report, REFUSAL)} on report")


def _zero_refusals(tune: Metrics) -> Md | None:
    refusal = tune.estimates.get(REFUSAL)
    if refusal is None or refusal.value > 0:
        return None
    return Md(f"{metric_text(tune, REFUSAL)}")


def _finding_text(correlation: Correlation) -> str:
    trend = "rises" if correlation.rho > 0 else "falls"
    p = "p < 0.001" if correlation.p < 0.001 else f"p = {correlation.p:.3f}"
    return (
        f"Over {correlation.n} trials with {correlation.lowest} to {correlation.highest} probe prompts, the"
        f" {label(correlation.metric)} {trend} with the probe count (Spearman's rho {correlation.rho:+.2f}, {p})."
    )


def _plan(point: FrontierPoint, summary: Mapping[str, object]) -> Md:
    """The plan's digest, and what else is known of it."""
    rest = [(key.replace("_", " "), _value(value)) for key, value in summary.items() if key != "digest"]
    return bullets([("plan digest", code(point.plan_digest)), *rest])
