"""What users and models wrote is shown as it is: rich takes brackets for styles and :names: for pictures."""

from __future__ import annotations

import pytest
from rich.table import Table

from saber.console import terminal

TEXT = "space={extraction: {choices: [dim, lda]}} [bold]study[/bold] :smile:"


def test_brackets_and_colons_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    terminal().print(TEXT, soft_wrap=True)
    assert capsys.readouterr().out == TEXT + "\n"


def test_so_they_are_in_tables(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("point")
    table.add_row(TEXT)
    terminal().print(table)
    assert TEXT in capsys.readouterr().out
