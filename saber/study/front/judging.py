"""An optional judge labels the front points' responses, and is reported by how far it agrees with the markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from saber.config import JudgeConfig
from saber.lm.evaluation.judge_endpoint import INSTRUCTION, ask
from saber.scoring.agreement import cohens_kappa
from saber.scoring.statistics import rate
from saber.study.store.score_cache import Kept
from saber.types import Judgement, Response, digest_json


def judge_responses(responses: Sequence[Response], judge: JudgeConfig) -> list[bool]:
    """Whether each response refuses, as the configured judge says.

    Raises:
        UserError: the judge cannot be asked, or gives no label.
    """
    if judge.kind == "hf_classifier":
        from saber.lm.evaluation.judge_classifier import classify

        return classify(responses, judge)
    return ask(responses, judge)


def judgements(responses: Mapping[int, Sequence[Response]], judge: JudgeConfig, folder: Path) -> dict[int, Judgement]:
    """By trial number, the judge's refusal rate of its harmful prompts and its agreement with the markers on all.

    What it was asked before is read from ``folder``.

    Raises:
        UserError: the judge cannot be asked, or gives no label.
    """
    if judge.kind == "none":
        return {}
    digest = judge_digest(judge)
    kept = Kept(folder / f"judge-{digest}.json", digest)
    return {number: _compared(some, answers(some, judge, kept), judge) for number, some in responses.items() if some}


def answers(responses: Sequence[Response], judge: JudgeConfig, kept: Kept) -> list[bool]:
    """Whether each response refuses; only what was never asked is asked, once, and kept when all of it is answered."""
    digests = [digest_json([one.prompt.text, one.text]) for one in responses]
    missing = {digest: one for digest, one in zip(digests, responses, strict=True) if digest not in kept.rows}
    if missing:
        kept.add(dict(zip(missing, judge_responses(list(missing.values()), judge), strict=True)))
    return [kept.rows[digest] for digest in digests]


def judge_digest(judge: JudgeConfig) -> str:
    """Digest of all that a judge's answers depend on; a classifier's folder counts by its files' sizes and times."""
    asked = [judge.kind, judge.path, judge.revision, judge.url, judge.reads, judge.refuses, INSTRUCTION]
    folder = Path(str(judge.path))
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if judge.kind == "hf_classifier" else []
    return digest_json([asked, *([path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files)])


def _compared(responses: Sequence[Response], refuses: Sequence[bool], judge: JudgeConfig) -> Judgement:
    by_marker = [one.label == "refuse" for one in responses]
    harmful = [said for one, said in zip(responses, refuses, strict=True) if one.prompt.kind == "harmful"]
    return Judgement(
        judge=f"{judge.kind} {judge.path}",
        n=len(responses),
        kappa=cohens_kappa(refuses, by_marker),
        n_judge_only=sum(a and not b for a, b in zip(refuses, by_marker, strict=True)),
        n_marker_only=sum(b and not a for a, b in zip(refuses, by_marker, strict=True)),
        refusal_rate=rate(sum(harmful), len(harmful)) if harmful else None,
    )
