"""The examples run as they stand: the script on the quick organism, the notebook's cells one after the other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_script_edits_and_measures(organism_folder: Path) -> None:
    words = [sys.executable, str(EXAMPLES / "edit_a_model.py"), str(organism_folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    refused = [int(share) for share in re.findall(r"^strength [\d.]+: (\d+)%", done.stdout, re.MULTILINE)]
    drifts = [float(drift) for drift in re.findall(r"KLD ([\d.]+) nats", done.stdout)]
    assert len(refused) == len(drifts) == 3
    assert drifts[0] == 0.0  # strength 0 changes nothing
    assert drifts[0] < drifts[1] < drifts[2]
    assert refused[0] >= refused[2]


def test_every_cell_of_the_notebook_runs(
    organism_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((EXAMPLES / "a_sweep_and_its_front.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    fewer = ["study.n_trials=3", "study.sampler=random", "evaluate.max_new_tokens=4", f"model.path={organism_folder}"]
    names: dict[str, Any] = {}
    for source in sources:
        exec(source.replace("config = saber", f"words += {fewer!r}\nconfig = saber"), names)
    front = names["frontier"].front
    assert front
    assert len(re.findall(r"refusals [\d.]+% on tune, [\d.]+% held out; KLD", capsys.readouterr().out)) == len(front)
    assert (tmp_path / "sweeps" / "notebook" / "study.db").exists()
