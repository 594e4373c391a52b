"""A study of false refusals knows which borderline prompts its base refuses, and says when they are too few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from saber.lm.evaluation import borderline_labels as borderline
from saber.lm.evaluation.borderline_labels import require_both, require_protected
from saber.lm.evaluation.measurement import label
from saber.lm.evaluation.reference import make_reference
from saber.study.context import open_workbench
from saber.study.search.space import parse_space
from saber.types import ProbeSet, Prompt, Split, UserError
from tests.commands import configured, run_here, words_of

WANTED = ("edit=false_refusal", "~space", "study.enqueue=[]")


def test_labels_are_the_base_s_own_replies_and_are_cached(
    organism_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borderline, "AT_LEAST", 1)  # a quickly trained organism refuses nearly all of them
    config = replace(configured(words_of(organism_folder, tmp_path, *WANTED, "data.n_probe=96")), space={})
    bench = open_workbench(config)
    split = Split("probe", bench.probes.borderline)
    said = make_reference(bench.adapter, split, replace(config.evaluate, drift_kinds=("borderline",))).responses
    expected = [response.label == "refuse" for response in label(bench.adapter, split.prompts, said, config.evaluate)]
    assert list(bench.probes.is_refused) == expected
    assert bench.activations.is_refused is not None
    assert bench.activations.is_refused.tolist() == expected
    again = open_workbench(config)
    assert again.probes == bench.probes
    read, written = again.activations.borderline, bench.activations.borderline
    assert read is not None
    assert written is not None
    assert torch.equal(read, written)
    assert len(list((bench.folder / "cache").glob("borderline-*"))) == 1


def test_the_default_study_looks_at_no_borderline_prompts(organism_folder: Path, tmp_path: Path) -> None:
    config = configured(words_of(organism_folder, tmp_path))
    bench = open_workbench(config, parse_space(config))
    assert bench.probes.borderline == ()
    assert bench.activations.borderline is None


def test_more_borderline_prompts_than_there_are_is_one_line(organism_folder: Path, tmp_path: Path) -> None:
    said = run_here(
        "sweep",
        words_of(organism_folder, tmp_path, *WANTED, "+space.edit.alpha_base={low: 0, high: 1}", "data.n_probe=128"),
        tmp_path,
    )
    assert said.status == 2
    assert "data.n_probe asks for 128 borderline prompts, the probe split has 96" in said.err


@pytest.mark.parametrize("seen", [(True,) * 9, (False,) * 9, (True, False, False) * 3])
def test_too_few_of_one_kind_is_one_line(seen: tuple[bool, ...]) -> None:
    probes = ProbeSet((), (), (), tuple(Prompt(str(i), "borderline") for i in range(9)), seen)
    with pytest.raises(UserError, match=r"raise data\.n_borderline or name more data") as caught:
        require_both(probes, smallest=9)
    assert "\n" not in str(caught.value)
    assert f"found {sum(seen)} and {9 - sum(seen)}" in str(caught.value)


def test_the_smallest_probe_set_decides() -> None:
    seen = (True,) * 4 + (False,) * 8
    probes = ProbeSet((), (), (), tuple(Prompt(str(i), "borderline") for i in range(12)), seen)
    require_both(probes, smallest=8)
    with pytest.raises(UserError, match="found 4 and 3"):
        require_both(probes, smallest=7)


def test_too_few_protected_prompts_is_one_line() -> None:
    harmful = tuple(Prompt(str(i), "harmful", protected=i % 2 == 0) for i in range(9))
    probes = ProbeSet(harmful, (), ())
    require_protected(probes, smallest=7)
    with pytest.raises(UserError, match=r"first data\.n_probe=6 harmful ones, found 3: raise") as caught:
        require_protected(probes, smallest=6)
    assert "\n" not in str(caught.value)


def test_a_number_of_borderline_prompts_of_their_own(organism_folder: Path, tmp_path: Path) -> None:
    space = "+space.edit.alpha_base={low: 0, high: 1}"
    said = run_here("sweep", words_of(organism_folder, tmp_path, *WANTED, space, "+data.n_borderline=97"), tmp_path)
    assert said.status == 2
    assert "data.n_borderline asks for 97 borderline prompts, the probe split has 96" in said.err


def test_the_workbench_knows_the_protected_probes(
    organism_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borderline, "AT_LEAST", 1)
    words = words_of(organism_folder, tmp_path, *WANTED, "data.n_probe=36", "+data.n_borderline=96")
    bench = open_workbench(replace(configured(words), space={}))
    protected = [prompt.protected for prompt in bench.probes.harmful]
    assert 0 < sum(protected) < len(protected) == 36
    assert bench.activations.is_protected is not None
    assert bench.activations.is_protected.tolist() == protected
    assert bench.activations.borderline is not None
    assert bench.activations.borderline.shape[1] == len(bench.probes.is_refused) == 96
