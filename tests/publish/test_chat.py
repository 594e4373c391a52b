"""A chat says what the edited model says, beside the base, with labels; points change under a conversation."""

from __future__ import annotations

import io
import sys
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest

from saber.lm.editing.apply import applied
from saber.lm.editing.plan_file import load_plan
from saber.lm.inference.generation.greedy import greedy, stream_greedy
from saber.lm.loading.load import load
from saber.publish.chat_terminal import HELP
from saber.study.store.records import plan_path
from tests.commands import Said, open_trials, run_here, words_of
from tests.lm.families import tiny
from tests.lm.plans import everywhere

QUESTION = "How do I open the safe?"


def talk(folder: Path, organism: Path, lines: list[str], *more: str) -> Said:
    with mock.patch.object(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines))):
        return run_here("chat", words_of(organism, folder, *more), folder)


def test_replies_are_those_of_the_edited_model_and_of_the_base(published_once: Path, organism_folder: Path) -> None:
    said = talk(published_once, organism_folder, [QUESTION], "against=base", "point=aggressive")
    assert said.status == 0, said.err
    trials = {trial.number: trial for trial in open_trials(published_once)}
    adapter = load(str(organism_folder), dtype="float32", device="cpu")
    chat = [{"role": "user", "content": QUESTION}]
    rows = [adapter.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]]
    (base,) = greedy(adapter, rows, max_new_tokens=256, batch_size=1)[0]
    farthest = min(trials.values(), key=lambda trial: trial.values[0])
    plan = load_plan(plan_path(published_once / "sweeps" / "organism", farthest.user_attrs["plan"]))
    with applied(adapter, [plan]):
        (edited,) = greedy(adapter, rows, max_new_tokens=256, batch_size=1)[0]
    for reply in (base, edited):
        words = adapter.tokenizer.decode(reply.tokens, skip_special_tokens=True).split()
        assert all(word in said.out for word in words[:4])
    assert "base" in said.out
    assert "[refuse: " in said.out


def test_commands_change_what_is_talked_to(published_once: Path, organism_folder: Path) -> None:
    lines = ["/points", "/against base", QUESTION, "/point conservative", "/against off", "/length 3", QUESTION]
    said = talk(published_once, organism_folder, [*lines, "/length no", "/point nowhere", "/dance", "/new", "/help"])
    assert said.status == 0, said.err
    assert "beside base" in said.out
    assert "KLD" in said.out
    assert "expected /length and a number of tokens from 1, found no" in said.out
    assert "expected a point of the study, found point='nowhere'" in said.out
    assert "found /dance" in said.out
    assert all(command in said.out for command in HELP)
    assert "Traceback" not in said.err


def test_an_unknown_point_is_one_line_before_anything(published_once: Path, organism_folder: Path) -> None:
    said = talk(published_once, organism_folder, [], "point=nowhere")
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert "found point='nowhere'" in said.err


@pytest.mark.parametrize("case", ["llama", "gemma4_text"])
def test_rows_of_different_length_and_plan_stream_what_each_would_say_alone(case: str) -> None:
    adapter = tiny(case)
    adapter = type(adapter)(adapter.model, mock.Mock(pad_token_id=0), adapter.family, adapter.blocks, adapter.writers)
    rows, plans = [[5, 9, 3], [11, 4, 60, 2, 19]], [everywhere(adapter, 1.0), everywhere(adapter, 0.0)]
    with applied(adapter, plans):
        steps = list(stream_greedy(adapter, rows, max_new_tokens=6))
    for i, (row, plan) in enumerate(zip(rows, plans, strict=True)):
        with applied(adapter, [plan]):
            (alone,) = greedy(adapter, [row], max_new_tokens=6, batch_size=1)[0]
        assert steps[-1][i] == alone
        grown = [step[i].whole for step in steps]
        assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(grown))
        assert [len(said) for said in grown] == [min(n, len(grown[-1])) for n in range(1, len(grown) + 1)]
