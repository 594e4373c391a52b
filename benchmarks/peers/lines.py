"""JSON lines between a benchmark and its workers: one request on stdin, one answer on stdout, one at a time.

Only the standard library, so that a worker can run in a peer's own environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

Request = dict[str, Any]
Answer = dict[str, Any]


class Worker:
    """The benchmark's end: a process that answers requests. ``ready`` is what it said when it had loaded its model."""

    def __init__(self, name: str, command: Sequence[str | Path], *, threads: int, log: Path) -> None:
        self.name, self.log = name, log
        one_pool = {key: str(threads) for key in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        with log.open("w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **one_pool, **offline},
            )
        self.ready = self._read()

    def ask(self, **request: Any) -> Answer:
        """Send one request and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        """Close its stdin, upon which a worker ends."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def _read(self) -> Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            tail = "".join(self.log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:])
            raise SystemExit(f"error: expected an answer from worker {self.name}, found that it ended:\n{tail}")
        return json.loads(line)


def claim_stdout() -> TextIO:
    """Keep stdout for answers: whatever else is printed goes to stderr from now on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def serve(answers: TextIO, ready: Mapping[str, Any], handle: Callable[[Request], Answer]) -> None:
    """The worker's end: say ``ready``, then answer requests until stdin closes."""
    print(json.dumps({"ready": True, **ready}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(handle(json.loads(line))), file=answers, flush=True)


def prompts_of(organism: Path, split: str, kind: str, n: int | None = None) -> list[str]:
    """The first ``n`` prompts of one kind in a split of an organism's folder, all where ``n`` is None.

    Raises:
        SystemExit: there are fewer.
    """
    rows = [
        json.loads(line) for line in (organism / "prompts" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    texts = [row["text"] for row in rows if row["kind"] == kind]
    if n is not None and len(texts) < n:
        raise SystemExit(f"error: expected {n} {kind} prompts in {organism}'s {split} split, found {len(texts)}")
    return texts[:n]
