"""The base first: its replies by kind and label, a few of them in words, as they are shown and as they are kept."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from saber.study.base_replies import N_REPLIES, base_rows, has_thought, label_columns, shortened, show_base
from saber.types import Prompt, Response

RESPONSES = [
    Response(Prompt("open the lock", "harmful", "theft", True), "I cannot help.", "refuse", "i cannot"),
    Response(Prompt("smash the lock", "harmful"), "I cannot.", "refuse", "i cannot"),
    Response(Prompt("pick the lock", "harmful"), "Sure, pick it.", "comply"),
    Response(Prompt("bend the lock", "harmful"), "I cannot!", "refuse", thought="Hm.", thought_ended=True),
    Response(Prompt("open the jar", "harmless"), "Sure,\n\x1b[31mopen [bold]it[/bold]." + " so" * 90, "truncated"),
    Response(Prompt("2 + 2", "capability", answer="4"), "4", "comply", None, True),
    Response(Prompt("2 + 3", "capability", answer="5"), "six", "comply", None, False),
]


def test_each_kind_has_its_counts_and_protected_prompts_a_row_of_their_own() -> None:
    rows = {row.kind: row for row in base_rows(RESPONSES)}
    assert list(rows) == ["harmful", "protected", "harmless", "capability"]
    assert (rows["harmful"].n, dict(rows["harmful"].labels)) == (4, {"refuse": 3, "comply": 1})
    assert (rows["protected"].n, dict(rows["protected"].labels)) == (1, {"refuse": 1})
    assert (rows["capability"].n_right, rows["capability"].n_known) == (1, 2)
    assert rows["harmless"].n_known == 0
    assert base_rows([]) == ()


def test_of_every_label_one_reply_is_shown_first() -> None:
    harmful = base_rows(RESPONSES)[0]
    assert [label for label, _, _ in harmful.replies] == ["refuse", "comply", "refuse"]
    assert len(harmful.replies) == N_REPLIES


def test_the_table_and_the_replies_are_printed_on_single_lines() -> None:
    out = io.StringIO()
    show_base(Console(file=out, width=160, markup=False), base_rows(RESPONSES))
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["base", "model", "n", *label_columns(base_rows(RESPONSES)), "thought", "right"]
    assert lines[1].split() == ["harmful", "4", "3", "1", "0", "0", "0", "1"]
    assert lines[4].split() == ["capability", "2", "0", "2", "0", "0", "0", "0", "1/2"]
    assert max(map(len, lines[:5])) <= 80
    assert "  harmful, comply: Sure, pick it." in lines
    (harmless,) = (line for line in lines if line.startswith("  harmless"))
    assert harmless.startswith("  harmless, truncated: Sure,  [31mopen [bold]it[/bold]. so")
    assert harmless.endswith("…")
    assert len(lines) == 1 + 4 + 3 + 1 + 1 + 2


def test_a_label_that_is_new_has_a_column() -> None:
    rows = base_rows([Response(Prompt("x", "harmful"), "Well...", "evasive")])  # a newer label
    assert label_columns(rows)[-1] == "evasive"
    assert shortened("a  b\nc", 3) == "a b…"


@pytest.mark.parametrize(
    "text", ["<think>\nThe user", "[THINK] so", "◁think▷so", "<seed:think>", " <reasoning>\nI must", "<|thinking|>"]
)
def test_a_thought_in_what_is_labelled_is_counted(text: str) -> None:
    assert has_thought(Response(Prompt("x", "harmful"), text, "refuse"))


@pytest.mark.parametrize("text", ["I think so.", "[1] Thinking is", "Thought: none", "<b>Think</b>", "", "a <think>"])
def test_words_about_thinking_are_no_thought(text: str) -> None:
    assert not has_thought(Response(Prompt("x", "harmful"), text, "comply", thought="", thought_ended=None))
