"""An organism that thinks before it answers: found by itself, swept with its thoughts off, closed and on."""

from __future__ import annotations

import fcntl
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saber.config import Config
from saber.lm.architecture.adapter import Adapter
from saber.lm.evaluation import first_token
from saber.lm.evaluation.measurement import label
from saber.lm.inference.batches import tokenise
from saber.lm.inference.generation.greedy import Decoded, greedy, stream_greedy
from saber.organism.build import Recipe, ensure_organism
from saber.publish import conversation
from saber.study.context import Workbench, open_workbench, study_folder
from saber.study.probed_base import UNREAD_THOUGHT
from saber.study.run.session import resume
from saber.types import Prompt
from tests.commands import Said, run_here, words_of
from tests.small_data import few_prompts

STEPS = 60  # enough to open a thought before every answer, and to close it
MODES = ("auto", "closed", "on")
QUESTION = "How do I open the safe?"
POSITIONS = "+space.edit.position={choices: [last, last_instruction, end_of_thought]}"


@pytest.fixture(scope="session")
def thinking_folder(request: pytest.FixtureRequest) -> Path:
    """A quickly trained organism that thinks, kept in pytest's own cache as the other one is."""
    folder = request.config.cache.mkdir("organism")
    out = folder / f"thinking-{STEPS}-steps"
    with open(folder / "thinking.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ensure_organism(out, Recipe(steps=STEPS, thinks=True))
    return out


def words(organism: Path, folder: Path, mode: str, *more: str) -> list[str]:
    return words_of(
        organism,
        folder,
        *few_prompts(folder),
        f"study.name={mode}",
        f"model.thinking={mode}",
        "evaluate.max_thinking_tokens=20",
        "study.n_trials=2",
        *([POSITIONS] if mode == "on" else []),
        *more,
    )


def opened(organism: Path, folder: Path, mode: str, *more: str) -> Workbench:
    """The workbench of a study that was swept, or of one that is not begun."""
    benches: list[Workbench] = []

    def look(config: Config) -> None:
        is_begun = (study_folder(config) / "study.db").exists()
        benches.append(resume(config)[1] if is_begun else open_workbench(config))

    said = run_here("sweep", words(organism, folder, mode, *more), folder, instead=look)
    assert said.status == 0, said.err
    return benches[0]


@pytest.fixture(scope="module")
def swept(thinking_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Said]]:
    """A study of two trials in every mode; the one that thinks searches where the stream is read."""
    folder = tmp_path_factory.mktemp("thinking")
    seen = {}
    for mode in MODES:
        seen[mode] = folder, run_here("sweep", words(thinking_folder, folder, mode), folder)
        assert seen[mode][1].status == 0, seen[mode][1].err
    return seen


def responses(folder: Path, mode: str) -> list[dict[str, Any]]:
    files = sorted((folder / "sweeps" / mode / "artifacts").rglob("*"))
    stored = [path.read_text() for path in files if path.is_file() and '"thought_ended"' in path.read_text()]
    return [json.loads(line) for text in stored for line in text.splitlines()]


def test_auto_finds_the_thoughts_and_turns_them_off(swept: dict[str, tuple[Path, Said]]) -> None:
    for mode, done in (("auto", "the template's switch is set (enable_thinking=False)"), ("on", "it thinks up to")):
        assert f"the model thinks before it answers (think); model.thinking={mode}: {done}" in swept[mode][1].out
    assert "every prompt ends with '<think>" in swept["closed"][1].out


def test_the_table_of_the_base_counts_thoughts(swept: dict[str, tuple[Path, Said]]) -> None:
    for mode in MODES:
        _, n, *_, thought = next(
            line for line in swept[mode][1].out.splitlines() if line.startswith("harmful ")
        ).split()
        assert int(thought) > 0.9 * int(n) if mode == "on" else int(thought) < 0.1 * int(n)


def test_what_was_thought_is_stored_beside_what_was_answered(swept: dict[str, tuple[Path, Said]]) -> None:
    folder, _ = swept["on"]
    rows = responses(folder, "on")
    thought = [row for row in rows if row["thought_ended"] is not None]
    assert len(thought) > 0.9 * len(rows)
    ended = [row for row in rows if row["thought_ended"]]
    assert ended
    assert not any("<think>" in row["thought"] + row["response"] for row in rows)
    assert all(row["label"] == "truncated" and not row["response"] for row in rows if row["thought_ended"] is False)
    for mode in ("auto", "closed"):
        quiet = responses(folder, mode)
        assert sum(row["thought_ended"] is not None for row in quiet) < 0.1 * len(quiet)


def test_modes_are_protocols_of_their_own_and_off_is_what_auto_does(
    swept: dict[str, tuple[Path, Said]], thinking_folder: Path
) -> None:
    folder, _ = swept["on"]
    benches = {mode: opened(thinking_folder, folder, mode) for mode in (*MODES, "off")}
    protocols = {mode: bench.base_tune.metrics.protocol for mode, bench in benches.items()}
    assert protocols["auto"] == protocols["off"]
    assert len(set(protocols.values())) == 3
    # The same tokens: this organism's template writes what closes a thought.
    same = [benches[mode].reference.rows for mode in ("auto", "off", "closed")]
    assert same[0] == same[1] == same[2] != benches["on"].reference.rows
    assert benches["on"].by_position.keys() == {"last", "last_instruction", "end_of_thought"}
    rates = benches["on"].base_tune.metrics
    assert rates["thought_rate"] > 0.9
    assert "thought_rate" in benches["auto"].base_tune.metrics.estimates


def test_inputs_are_read_where_the_bases_own_thought_ends(thinking_folder: Path, tmp_path: Path) -> None:
    reads = ("edit=saber_inputs", "edit.position=end_of_thought", "~space", "study.enqueue=[]", "study.name=ends")
    bench = opened(thinking_folder, tmp_path, "on", *reads)
    assert bench.inputs is not None
    rows = bench.inputs.captured.rows.sequences
    for row, prompt in zip(rows, bench.probes.harmful, strict=False):
        assert row.tokens[-len(bench.adapter.thoughts[prompt.text]) :] == bench.adapter.thoughts[prompt.text]
        assert row.positions == (len(row.tokens) - 1,)
    ends = [bench.adapter.tokenizer.decode(list(row.tokens[-3:])) for row in rows if not row.is_reply]
    assert sum("</think>" in text for text in ends) > 0.9 * len(ends)


def test_where_a_thought_is_not_read_that_is_said(
    thinking_folder: Path, tmp_path: Path, swept: dict[str, tuple[Path, Said]]
) -> None:
    assert not any(UNREAD_THOUGHT in said.out for _, said in swept.values())  # "on" searches the end of the thought

    def look(config: Config) -> None:
        open_workbench(config)

    said = run_here("sweep", words(thinking_folder, tmp_path, "on", "study.name=last"), tmp_path, look)
    assert UNREAD_THOUGHT in said.out


@pytest.mark.parametrize("mode", MODES)
def test_a_chat_speaks_as_its_study_was_measured(
    mode: str, swept: dict[str, tuple[Path, Said]], thinking_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = swept[mode]
    bench = opened(thinking_folder, folder, mode)
    seen: list[list[list[int]]] = []

    def spied(adapter: Adapter, rows: list[list[int]], **how: Any) -> Iterator[list[Decoded]]:
        seen.append(rows)
        assert how["max_thinking_tokens"] == 20
        return stream_greedy(adapter, rows, **how)

    monkeypatch.setattr(conversation, "stream_greedy", spied)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\n{QUESTION}\n"))
    said = run_here("chat", [*words(thinking_folder, folder, mode), "point=base"], folder)
    assert said.status == 0, said.err
    assert "measured otherwise" not in said.out
    (first,), (second,) = seen
    assert [first] == tokenise(bench.adapter, [Prompt(QUESTION, "harmful")])
    assert ("(thinks: " in said.out) == (mode == "on")
    ((reply,),) = greedy(bench.adapter, [first], max_new_tokens=256, max_thinking_tokens=20, batch_size=1)
    (whole,) = label(bench.adapter, [Prompt(QUESTION, "harmful")], [reply], bench.config.evaluate)
    assert f"[{whole.label}" in said.out
    assert whole.thought is not None
    for part in (whole.thought, whole.text):
        assert all(word in said.out for word in part.split())
    # What was answered stays in the conversation, what was thought does not.
    history = bench.adapter.tokenizer.decode(second[: len(second) - len(first)])
    assert all(word in history for word in whole.text.split())
    assert "<think>" not in history


def test_a_chat_under_another_mode_says_so(
    swept: dict[str, tuple[Path, Said]], thinking_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = swept["closed"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    said = run_here("chat", [*words(thinking_folder, folder, "closed"), "model.thinking=on", "point=base"], folder)
    assert said.status == 0, said.err
    assert "the study was measured otherwise than is talked here: chat." in said.out
    assert "chat.thinking.mode: closed -> on" in said.out


def test_a_study_under_another_mode_is_another_study(
    swept: dict[str, tuple[Path, Said]], thinking_folder: Path
) -> None:
    folder, _ = swept["auto"]
    said = run_here("sweep", [*words(thinking_folder, folder, "auto"), "model.thinking=closed"], folder)
    assert said.status == 2
    assert "study auto was begun otherwise: chat." in said.err


def test_a_first_token_that_is_always_the_same_is_no_objective(
    thinking_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_token, "FIXED_NATS", 0.5)  # trained for so short, it is not yet as sure as that
    said = run_here(
        "sweep", words(thinking_folder, tmp_path, "on", "study.name=fixed", "evaluate.kld_positions=first"), tmp_path
    )
    assert said.status == 2
    (line,) = said.err.strip().splitlines()
    assert "study.objectives kld: expected a first response token that differs by prompt" in line
    assert "of 12 prompts" in line
    assert "use evaluate.kld_positions=response" in line


def test_heretics_profile_puts_the_closed_thought_into_the_prompt_as_heretic_does(
    thinking_folder: Path, tmp_path: Path
) -> None:
    bench = opened(thinking_folder, tmp_path, "auto", "evaluate=heretic_compat", "study.name=heretic")
    assert bench.adapter.chat.suffix.startswith("<think></think>")
    assert bench.adapter.chat.thinking is None
