"""`saber.evaluate`: any two checkpoints under any profile, what can't be told apart, and refusal to mix protocols."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from rich.console import Console

from saber.command import to_config
from saber.lm.editing.apply import bake
from saber.lm.loading.load import load, quiet
from saber.organism.prompt_sets import organism_splits
from saber.publish.report.checkpoint_page import compare
from saber.scoring.statistics import prompts_for_half_width
from saber.types import PROMPT_KINDS, EditPlan, UserError

PER_KIND = 7


@pytest.fixture(scope="module")
def words(organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command line's words for a few prompts of each kind, in files."""
    folder = tmp_path_factory.mktemp("compared")
    tune = organism_splits(0)["tune"]
    sets = []
    for kind in PROMPT_KINDS:
        path = folder / f"{kind}.jsonl"
        rows = [{"prompt": p.text, "category": p.category, "answer": p.answer} for p in tune.of(kind)[:PER_KIND]]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        sets.append(f"{{path: {path}, kind: {kind}}}")
    sizes = ", ".join(f"{kind}: {PER_KIND}" for kind in PROMPT_KINDS)
    return [
        f"model.path={organism_folder}", "model.dtype=float32", "model.device=cpu", f"study.dir={folder}",
        "data.source=sets", f"+data.sets=[{', '.join(sets)}]", f"+data.tune={{{sizes}}}", "splits=[tune]",
        "evaluate.max_new_tokens=12",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def edited(organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a strong edit baked in."""
    quiet()
    adapter = load(str(organism_folder), dtype="float32", device="cpu")
    r, _ = torch.linalg.qr(torch.randn(adapter.d_model, 8, generator=torch.Generator().manual_seed(2)))
    bake(adapter, EditPlan.from_directions({layer: (r, torch.ones(8)) for layer in range(adapter.n_layers)}))
    folder = tmp_path_factory.mktemp("edited")
    adapter.model.save_pretrained(folder)
    adapter.tokenizer.save_pretrained(folder)
    return folder


def run(words: list[str], *more: str) -> tuple[str, dict[str, Any]]:
    """What was printed, and what was written."""
    with initialize_config_module("saber.conf", version_base="1.3"):
        config = to_config(compose("run", overrides=[*words, *more]))
    said = io.StringIO()
    path = compare(config, Console(file=said, width=200))
    return said.getvalue(), json.loads(path.read_text())


@pytest.mark.parametrize("profile", ["default", "heretic_compat", "saber_original"])
def test_a_checkpoint_beside_its_base_under_any_profile(words: list[str], edited: Path, profile: str) -> None:
    said, page = run(words, f"checkpoint={edited}", f"evaluate={profile}")
    tune = page["splits"]["tune"]
    assert page["profile"] == profile
    assert tune["checkpoint"]["protocol"] == tune["against"]["protocol"]
    drift = tune["differences"]["kld"]
    assert drift["is_distinct"]
    assert drift["value"] == pytest.approx(tune["checkpoint"]["estimates"]["kld"]["value"], abs=1e-6)
    assert "mean KLD vs base" in said
    assert tune["checkpoint"]["worst_drift"]


def test_two_checkpoints_and_their_difference_is_the_other_way_round_the_other_way_round(
    words: list[str], edited: Path, organism_folder: Path
) -> None:
    _, there = run(words, f"checkpoint={edited}", f"against={organism_folder}")
    _, back = run(words, f"checkpoint={organism_folder}", f"against={edited}")
    forth, other = (run["splits"]["tune"]["differences"]["kld"]["value"] for run in (there, back))
    assert isinstance(forth, float)
    assert forth == pytest.approx(-other)


def test_a_copy_of_the_base_cannot_be_told_apart(words: list[str], organism_folder: Path) -> None:
    said, page = run(words, f"checkpoint={organism_folder}")
    assert "The two can't be told apart by any metric on these prompts." in said
    assert page["splits"]["tune"]["checkpoint"]["estimates"]["kld"]["value"] == 0


def test_another_chat_template_is_another_protocol(words: list[str], organism_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(organism_folder, other)
    template = other / "chat_template.jinja"
    template.write_text(template.read_text() + "{# another #}")
    with pytest.raises(UserError, match=r"expected protocol \w+ of the base, found \w+ of .*other: its dtype, chat"):
        run(words, f"checkpoint={other}")


def test_a_checkpoint_is_not_compared_with_itself(words: list[str]) -> None:
    with pytest.raises(UserError, match="other than against"):
        run(words, "checkpoint=base")


def say(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "saber.evaluate", *words], capture_output=True, text=True, check=False)


def test_power_prints_how_many_prompts_are_needed() -> None:
    done = say("power", "half_width=0.02")
    assert done.returncode == 0, done.stderr
    for rate in (0.5, 0.1, 0.0):
        assert str(prompts_for_half_width(0.02, rate=rate)) in done.stdout


@pytest.mark.parametrize("words", [["half_width=2"], ["half_width=few"], ["width=0.1"], [], ["half_width=nan"]])
def test_a_power_that_cannot_be_is_one_line(words: list[str]) -> None:
    done = say("power", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: expected power half_width=<between 0.000001 and 1>, found power")
    assert done.stderr.count("\n") == 1
