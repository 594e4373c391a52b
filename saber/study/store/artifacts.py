"""A trial's responses as an artifact: a table for the dashboard, and the outcomes that points are compared by."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial

from saber.metrics import DRIFT
from saber.types import DIGEST_LENGTH, Prompt, Response

PREFIX = "responses-"
THOUGHTS = ("thought", "thought_ended")


def response_rows(responses: Sequence[Response]) -> list[Mapping[str, Any]]:
    """Responses as flat rows for a table; KL in nats stands in the rows of the prompts it is measured on.

    Thoughts have columns where the model may think.
    """
    drifts = list(dict.fromkeys(name for response in responses for name in response.drift))
    thoughts = THOUGHTS if any(response.thought is not None for response in responses) else ()
    return [
        {
            "kind": response.prompt.kind,
            "category": response.prompt.category,
            "protected": response.prompt.protected,
            "label": response.label,
            "marker": response.marker,
            "correct": response.correct,
            "finished": response.finished,
            "labeller": response.labeller,
            **{name: response.drift.get(name) for name in drifts},
            "prompt": response.prompt.text,
            **{name: getattr(response, name) for name in thoughts},
            "response": response.text,
        }
        for response in responses
    ]


def responses_from_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[Response, ...]:
    """The inverse of `response_rows`, but for the pair and the answer of a prompt."""
    return tuple(
        Response(
            Prompt(row["prompt"], row["kind"], row["category"], row["protected"]),
            row["response"],
            row["label"],
            row["marker"],
            row["correct"],
            {name: value for name, value in row.items() if name.startswith(DRIFT) and value is not None},
            row.get("finished"),
            row.get("labeller", "markers"),
            *(row.get(name) for name in THOUGHTS),
        )
        for row in rows
    )


def upload_responses(trial: Trial, responses: Sequence[Response], folder: Path, store: FileSystemArtifactStore) -> None:
    """Store a trial's responses under a name with their digest; the dashboard shows a JSONL artifact as a table."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in response_rows(responses))
    path = folder / "cache" / f"{PREFIX}{trial.number}-{_digest(text.encode())}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=trial)
    path.unlink()


def stored_responses(storage: BaseStorage, trial: FrozenTrial, store: FileSystemArtifactStore) -> tuple[Response, ...]:
    """What a trial's model answered; nothing where the artifact was moved away, or is not what was stored."""
    for meta in get_all_artifact_meta(trial, storage=storage):
        if meta.filename.startswith(PREFIX):
            try:
                with store.open_reader(meta.artifact_id) as file:
                    raw = file.read()
            except ArtifactNotFound:
                return ()
            try:
                return _parsed(raw, meta.filename)
            except (LookupError, RecursionError, TypeError, ValueError) as error:
                told = f"the responses of trial {trial.number} are damaged ({error}); they are left out"
                warnings.warn(told, stacklevel=2)
                return ()
    return ()


def _parsed(raw: bytes, name: str) -> tuple[Response, ...]:
    """The responses of an artifact, checked against the digest in its name; earlier ones have none there."""
    digest = name.removesuffix(".jsonl").split("-")[2:]
    if digest not in ([], [_digest(raw)]):
        raise ValueError("their checksum differs")
    return responses_from_rows([json.loads(line) for line in raw.splitlines()])


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:DIGEST_LENGTH]
