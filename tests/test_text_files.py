"""Every file is UTF-8 whatever the locale, and a terminal that lacks a sign shows the nearest."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from saber.atomic_files import write_atomically
from saber.publish.card.model_card import _title
from saber.redaction import without_home
from saber.signs import NEAREST, degrade_output, plain_sign
from saber.study.store.storage import sqlite_url

ROOT = Path(__file__).parent.parent
OPENS = {"read_text", "write_text", "open"}
SCRIPT = """
import sys
from pathlib import Path
from saber.command import in_one_line
from saber.atomic_files import write_atomically
from saber.console import terminal
from saber.vocabulary import UserError

def act():
    write_atomically(Path("card.md"), "0–7% · “ça” 漢字\\n")
    terminal().print("0–7% - refusal − drift")
    raise UserError("expected “a” → b…")

sys.exit(in_one_line(act))
"""


def text_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls that read or write a file as text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            words = [
                arg.value for arg in [*node.args, *(k.value for k in node.keywords)] if isinstance(arg, ast.Constant)
            ]
            of_system = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "os"
            if (
                name in OPENS
                and not of_system
                and not any(isinstance(word, str) and "b" in word and len(word) < 4 for word in words)
            ):
                yield node


@pytest.mark.parametrize("folder", ["saber", "benchmarks"])
def test_every_text_file_is_opened_as_utf8(folder: str) -> None:
    wrong = [
        f"{path}:{call.lineno}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for call in text_calls(ast.parse(path.read_text(encoding="utf-8")))
        if not any(keyword.arg == "encoding" for keyword in call.keywords)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp932"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"},
    ],
    ids=["cp932", "C", "strict ascii"],
)
def test_what_is_printed_and_written_survives_any_locale(environment: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "act.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, cwd=tmp_path, env={**os.environ, **environment}, check=False
    )
    encoding = environment.get("PYTHONIOENCODING", "ascii").split(":")[0]
    assert done.returncode == 2, done.stderr
    assert done.stdout.decode(encoding).strip() == f"0-7% - refusal {'－' if encoding == 'cp932' else '-'} drift"
    assert done.stderr.decode(encoding).strip() in ('error: expected "a" -> b...', "error: expected “a” → b…")
    assert (tmp_path / "card.md").read_bytes() == "0–7% · “ça” 漢字\n".encode()


def test_a_sign_that_is_not_there_is_the_nearest() -> None:
    assert [plain_sign(sign) for sign in "–…é漢\udc80"] == ["-", "...", "e", "?", "?"]
    degrade_output()
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=NEAREST)
    stream.write("a–b…")
    stream.flush()
    assert stream.buffer.getvalue() == b"a-b..."  # the BytesIO above


def test_lines_end_alike_everywhere(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x", "a\nb\n")
    assert (tmp_path / "x").read_bytes() == b"a\nb\n"


def test_windows_paths() -> None:
    assert sqlite_url(PureWindowsPath(r"C:\Users\Jane Doe\sweeps\s\study.db")) == (
        "sqlite:///C:/Users/Jane Doe/sweeps/s/study.db"
    )
    home = PureWindowsPath(r"C:\Users\Jane")
    assert without_home(r"in c:\users\jane\models\x", home) == r"in ~\models\x"
    assert without_home("in C:/Users/Jane/models", home) == "in ~/models"
    assert without_home(r"in C:\Users\Janet\models", home) == r"in C:\Users\Janet\models"
    assert without_home("in /x", PureWindowsPath("C:\\")) == "in /x"
    assert without_home("in /root/x", PurePosixPath("/root")) == "in ~/x"
    assert _title(r"C:\models\gemma-4-E4B-it") == _title("google/gemma-4-E4B-it") == "Gemma 4 E4B SABER"
