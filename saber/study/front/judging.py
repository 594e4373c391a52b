"""An optional judge labels the front points' responses, and is reported by how far it agrees with the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from saber.config import JudgeConfig
from saber.lm.evaluation.judges import INSTRUCTION, NoLabel, ask
from saber.scoring.statistics import cohens_kappa, rate
from saber.study.named_places import check_web_address
from saber.study.store.score_cache import Kept
from saber.types import Judgement, Response, digest_json


def judge_responses(responses: Sequence[Response], judge: JudgeConfig) -> Iterator[bool | NoLabel]:
    """Whether each response refuses, as the configured judge says, or why it gives no label.

    Raises:
        UserError: the judge cannot be loaded, or has no such label, or no such address.
    """
    if judge.kind == "hf_classifier":
        from saber.lm.evaluation.judges import classify

        return classify(responses, judge)
    check_web_address(judge.url)
    return ask(responses, judge)


def judgements(
    responses: Mapping[int, Sequence[Response]],
    judge: JudgeConfig,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> dict[int, Judgement]:
    """By trial number, the judge's refusal rate of its harmful prompts and its agreement with the labels on all.

    What it was asked before is read from ``folder``. ``say`` is told of how many responses it gave no label.

    Raises:
        UserError: the judge cannot be loaded, or has no such label.
    """
    if judge.kind == "none":
        return {}
    digest = judge_digest(judge)
    kept = Kept(folder / f"judge-{digest}.json", digest)
    by_digest = {_digest(reply): reply for said in responses.values() for reply in said}
    labels = labelled(by_digest, judge, kept)
    reasons = [label for label in labels.values() if isinstance(label, NoLabel)]
    if reasons:
        say(
            f"warning: the judge gave no label of {len(reasons)} of {len(labels)} responses ({reasons[0]}); they are"
            " left out, and asked again at the next run"
        )
    return {
        number: _compared(own, [labels[_digest(response)] for response in own], judge)
        for number, own in responses.items()
        if own
    }


def labelled(by_digest: Mapping[str, Response], judge: JudgeConfig, kept: Kept) -> dict[str, bool | NoLabel]:
    """Whether each response refuses; only what was never labelled is asked, and each label is kept as it comes."""
    labels: dict[str, bool | NoLabel] = {digest: bool(kept.rows[digest]) for digest in by_digest if digest in kept.rows}
    missing = [digest for digest in by_digest if digest not in labels]
    if missing:
        said = judge_responses([by_digest[digest] for digest in missing], judge)
        for digest, label in zip(missing, said, strict=True):
            labels[digest] = label
            if not isinstance(label, NoLabel):
                kept.add({digest: label})
    return labels


def _digest(response: Response) -> str:
    return digest_json([response.prompt.text, response.text])


def judge_digest(judge: JudgeConfig) -> str:
    """Digest of all that a judge's answers depend on; a classifier's folder counts by its files' sizes and times."""
    asked = [judge.kind, judge.path, judge.revision, judge.url, judge.reads, judge.refuses, INSTRUCTION]
    folder = Path(str(judge.path))
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if judge.kind == "hf_classifier" else []
    return digest_json([asked, *([path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files)])


def _compared(responses: Sequence[Response], said: Sequence[bool | NoLabel], judge: JudgeConfig) -> Judgement:
    """The judge beside the markers on the responses that it labelled."""
    both = [
        (response, label) for response, label in zip(responses, said, strict=True) if not isinstance(label, NoLabel)
    ]
    reasons = [str(label) for label in said if isinstance(label, NoLabel)]
    refuses, by_marker = [label for _, label in both], [response.label == "refuse" for response, _ in both]
    harmful = [label for response, label in both if response.prompt.kind == "harmful"]
    return Judgement(
        judge=f"{judge.kind} {judge.path}",
        n=len(both),
        kappa=cohens_kappa(refuses, by_marker) if both else None,
        n_judge_only=sum(a and not b for a, b in zip(refuses, by_marker, strict=True)),
        n_marker_only=sum(b and not a for a, b in zip(refuses, by_marker, strict=True)),
        refusal_rate=rate(sum(harmful), len(harmful)) if harmful else None,
        n_failed=len(reasons),
        failure=reasons[0] if reasons else "",
    )
