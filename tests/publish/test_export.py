"""An exported point is what its trial was: whole, loadable by anyone, measured again, or not there at all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from saber.lm.editing.apply import applied
from saber.lm.editing.plan_file import load_plan, save_plan
from saber.lm.editing.shards import Baked, bake_checkpoint
from saber.lm.loading.load import load
from saber.publish.export import forms
from saber.publish.export.provenance import sha256
from saber.reproduce import reproduce
from saber.study.store.records import metrics_from_json
from saber.types import EditPlan, Round, UserError
from tests.commands import Said, database, finish, open_trials, process, run_here, words_of

Words = list[str]


@pytest.fixture(scope="session")
def exported_once(published_once: Path, organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published study with its balanced point exported; copy it rather than change it."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(published_once, folder, dirs_exist_ok=True)
    said = export(organism_folder, folder)
    assert said.status == 0, said.err
    return folder


def export(organism: Path, folder: Path, *more: str) -> Said:
    return run_here("export", words_of(organism, folder, *more), folder)


def checkpoint_in(folder: Path) -> Path:
    (exported,) = [path for path in (folder / "outputs").iterdir() if (path / "saber.json").exists()]
    return exported


def leftovers(folder: Path) -> list[str]:
    outputs = folder / "outputs"
    return sorted(path.name for path in outputs.iterdir() if path.name != "_runs") if outputs.exists() else []


def balanced_plan(exported: Path, folder: Path) -> Path:
    """Where the plan lies that ``export point=balanced`` will bake in ``folder``."""
    digest = json.loads((checkpoint_in(exported) / "saber.json").read_text())["plan"]["digest"]
    return folder / "sweeps" / "organism" / "plans" / f"{digest}.safetensors"


def logits(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=tokens, use_cache=False).logits


def test_it_loads_in_plain_transformers_and_is_the_base_with_the_plan_applied(
    exported_once: Path, organism_folder: Path
) -> None:
    checkpoint = checkpoint_in(exported_once)
    model, report = AutoModelForCausalLM.from_pretrained(checkpoint, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    chat = [{"role": "user", "content": "How do I open the safe?"}]
    tokens = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")["input_ids"]

    base = load(str(organism_folder), dtype="float32", device="cpu")
    plan = load_plan(checkpoint / "plan.safetensors")
    with applied(base, [plan]):
        virtual = logits(base.model, tokens)
    torch.testing.assert_close(logits(model, tokens), virtual, atol=1e-4, rtol=0)
    assert (virtual - logits(base.model, tokens)).abs().max() > 1e-2


def test_its_card_and_its_json_say_what_was_measured_again(exported_once: Path) -> None:
    checkpoint = checkpoint_in(exported_once)
    about = json.loads((checkpoint / "saber.json").read_text())
    tune, report = metrics_from_json(about["metrics"]["tune"]), metrics_from_json(about["metrics"]["report"])
    assert (tune.split, report.split) == ("tune", "report")
    trial = open_trials(exported_once)[about["trial"]]
    stored = metrics_from_json(trial.user_attrs["metrics"])
    assert checkpoint.name == f"organism_{about['point']}" == f"organism_{trial.user_attrs['name']}"
    assert about["plan"]["digest"] == trial.user_attrs["plan"] == load_plan(checkpoint / "plan.safetensors").digest
    assert about["params"] == trial.params
    assert tune.estimates.keys() == stored.estimates.keys()
    for name in tune.estimates:
        assert tune[name] == pytest.approx(stored[name], abs=0.02), name
    held_out = json.loads((exported_once / "sweeps" / "organism" / "report_scores.json").read_text())["rows"]
    assert report["kld"] == pytest.approx(metrics_from_json(held_out[about["plan"]["digest"]])["kld"], abs=1e-3)

    card = (checkpoint / "README.md").read_text()
    for metrics in (tune, report):
        assert f"{100 * metrics['refusal_rate']:.1f}%" in card
        assert f"{metrics['kld']:.4f}" in card
    assert about["plan"]["digest"] in card


def test_exporting_again_replaces_what_is_ours_and_only_that(
    exported_once: Path, organism_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(exported_once, tmp_path, dirs_exist_ok=True)
    checkpoint = checkpoint_in(tmp_path)
    (checkpoint / "old").write_text("of the export before")
    said = export(organism_folder, tmp_path)
    assert said.status == 0, said.err
    assert leftovers(tmp_path) == [checkpoint.name]
    assert not (checkpoint / "old").exists()
    assert {path.name for path in checkpoint.iterdir()} == {p.name for p in checkpoint_in(exported_once).iterdir()}
    weights = "model.safetensors"
    assert (checkpoint / weights).read_bytes() == (checkpoint_in(exported_once) / weights).read_bytes()


def test_a_folder_that_is_not_ours_is_left_alone(exported_once: Path, published: Path, organism_folder: Path) -> None:
    theirs = published / "outputs" / checkpoint_in(exported_once).name
    theirs.mkdir(parents=True)
    (theirs / "thesis.tex").write_text("the only copy")
    said = export(organism_folder, published)
    assert said.status == 2
    assert f"expected {theirs} to be free or one of our exports" in said.err
    assert said.err.count("\n") == 1
    assert leftovers(published) == [theirs.name]
    assert [path.name for path in theirs.iterdir()] == ["thesis.tex"]


def flip_bytes(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-40] ^= 0x01  # inside the last tensor
    path.write_bytes(data)


def put_another_trials_plan(path: Path) -> None:
    other = next(file for file in sorted(path.parent.iterdir()) if file.name != path.name)
    shutil.copyfile(other, path)


def put_a_plan_that_measures_the_same(path: Path) -> None:
    plan = load_plan(path)
    first, *rest = plan.rounds
    save_plan(EditPlan((Round(first.directions, first.strengths * 1.0001), *rest), plan.row_norm, plan.source), path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_an_edit_that_edits_nothing_is_refused_before_anything_is_scored(
    published: Path, organism_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saber.publish.export.point.load_plan", lambda *_: EditPlan(()))
    said = run_here("export", words_of(organism_folder, published), published)
    assert said.status == 2
    assert "found one that edits no writer: it is the base" in said.err
    assert not list((published / "outputs").glob("organism*"))


@pytest.mark.parametrize(
    "tamper",
    [
        flip_bytes,
        cut_short,
        Path.unlink,
        put_another_trials_plan,
        put_a_plan_that_measures_the_same,
    ],
)
def test_a_tampered_plan_is_refused_and_leaves_nothing(
    exported_once: Path, published: Path, organism_folder: Path, tamper: Any
) -> None:
    tamper(balanced_plan(exported_once, published))
    said = export(organism_folder, published)
    assert said.status == 2, said.out
    assert said.err.count("\n") == 1
    assert leftovers(published) == []


def bake_instead(monkeypatch: pytest.MonkeyPatch, change: Callable[[EditPlan], EditPlan]) -> None:
    """Bake another plan than the one that was asked for."""

    def bake(source: Path, target: Path, plan: EditPlan, **more: Any) -> Baked:
        return bake_checkpoint(source, target, change(plan), **more)

    monkeypatch.setattr(forms, "bake_checkpoint", bake)


def test_another_model_under_the_checkpoints_name_is_refused(
    published: Path, organism_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hardly(plan: EditPlan) -> EditPlan:
        return EditPlan(
            tuple(dataclasses.replace(edit_round, strengths=1e-3 * edit_round.strengths) for edit_round in plan.rounds)
        )

    bake_instead(monkeypatch, hardly)
    farthest = max(open_trials(published), key=lambda trial: trial.values[1])  # one that hardly edits would pass
    said = export(organism_folder, published, f"point={farthest.number}")
    assert said.status == 2
    assert "it is not the same model; nothing was exported" in said.err
    assert leftovers(published) == []


def test_a_nan_is_caught_before_anything_is_in_place(
    published: Path, organism_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(plan: EditPlan) -> EditPlan:
        return EditPlan(
            tuple(
                dataclasses.replace(edit_round, strengths=edit_round.strengths * float("nan"))
                for edit_round in plan.rounds
            )
        )

    bake_instead(monkeypatch, broken)
    said = export(organism_folder, published)
    assert said.status == 2
    assert "expected finite weights, found NaN or infinity in" in said.err
    assert leftovers(published) == []


def test_a_point_that_edits_nothing_is_refused_in_every_form(published: Path, organism_folder: Path) -> None:
    plan_of = {trial.number: trial.user_attrs["plan"] for trial in open_trials(published)}
    path = published / "sweeps" / "organism" / "plans" / f"{plan_of[0]}.safetensors"
    plan = load_plan(path)
    nothing = EditPlan(
        tuple(dataclasses.replace(edit_round, strengths=0 * edit_round.strengths) for edit_round in plan.rounds)
    )
    save_plan(nothing, path.with_name(f"{nothing.digest}.safetensors"))
    database_says(published, plan_of[0], nothing.digest)
    for form in ("merged", "adapter", "gguf_adapter"):
        said = export(organism_folder, published, "point=0", f"export.format={form}")
        assert said.status == 2
        assert "found one that edits no writer: it is the base" in said.err
    assert leftovers(published) == []


def database_says(folder: Path, old: str, new: str) -> None:
    """Replace one plan's digest by another in a study's database."""
    with contextlib.closing(sqlite3.connect(database(folder))) as opened:
        opened.execute("update trial_user_attributes set value_json = replace(value_json, ?, ?)", [old, new])
        opened.commit()


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_two_processes_write_the_same_bytes(exported_once: Path, organism_folder: Path) -> None:
    checkpoint = checkpoint_in(exported_once)
    first = files_of(checkpoint)
    with process("export", words_of(organism_folder, exported_once), exported_once) as started:
        said = finish(started)
    assert said.status == 0, said.err
    assert files_of(checkpoint) == first
    with safe_open(checkpoint / "model.safetensors", framework="pt") as file:
        assert file.metadata()["saber.plan"] == json.loads(first["saber.json"])["plan"]["digest"]


def test_what_is_made_again_is_compared_file_by_file(
    exported_once: Path, organism_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint_in(exported_once), copy)
    about = json.loads((copy / "saber.json").read_text())
    assert about["files"].keys() == files_of(copy).keys() - {"saber.json"}
    assert about["base"]["files"]["model.safetensors"] == sha256(organism_folder / "model.safetensors")
    assert about["files"]["config.json"] == about["base"]["files"]["config.json"]
    assert reproduce([str(copy)])
    said = capsys.readouterr().out
    assert f"{len(about['files']) - 3} of {len(about['files']) - 3} files made again are the same" in said

    flip_bytes(copy / "model.safetensors")
    assert not reproduce([str(copy)])
    assert "files are as they were written; not model.safetensors" in capsys.readouterr().out
    base = tmp_path / "base"
    shutil.copytree(organism_folder, base)
    flip_bytes(base / "model.safetensors")
    assert not reproduce([str(copy), f"base={base}"])
    said = capsys.readouterr().out
    assert "that it was made from; not model.safetensors" in said
    assert "files made again are the same; not model.safetensors" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "copy"]
    with pytest.raises(UserError, match="expected an export of ours in"):
        reproduce([str(base)])


@pytest.mark.parametrize("form", ["adapter", "gguf_adapter"])
def test_an_adapter_is_measured_as_it_is_read_back_and_made_again(
    form: str, published: Path, organism_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = export(organism_folder, published, f"export.format={form}")
    assert said.status == 0, said.err
    folder = checkpoint_in(published)
    assert not list(folder.glob("model*"))
    front = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert front["library_name"] == {"adapter": "peft", "gguf_adapter": "llama.cpp"}[form]
    assert reproduce([str(folder)])
    assert "; not" not in capsys.readouterr().out
    if form == "gguf_adapter":
        assert (folder / "Modelfile").read_text().splitlines()[1:3] == ["FROM ./base.gguf", "ADAPTER ./adapter.gguf"]


def test_a_missing_buffer_is_caught_when_it_is_read_back(organism_folder: Path, tmp_path: Path) -> None:
    adapter = load(str(organism_folder), dtype="float32", device="cpu")
    adapter.model.save_pretrained(tmp_path)
    adapter.tokenizer.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    name = next(name for name, _ in adapter.model.named_buffers() if name in stored)
    save_file({n: t for n, t in stored.items() if n != name}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="to fill every weight, found 1 missing"):
        load(str(tmp_path), dtype="float32", device="cpu")


def test_another_point_is_exported_by_name_and_an_unknown_one_is_not(
    exported_once: Path, published: Path, organism_folder: Path
) -> None:
    done = json.loads((checkpoint_in(exported_once) / "saber.json").read_text())["trial"]
    other = next(trial for trial in open_trials(published) if trial.number != done)
    said = export(organism_folder, published, f"point={other.number}")
    assert said.status == 0, said.err
    assert leftovers(published) == [f"organism_{other.user_attrs['name']}"]

    said = export(organism_folder, published, "point=nh1_a1_g1")
    assert said.status == 2
    assert "found point='nh1_a1_g1'; there are aggressive, balanced, conservative" in said.err
    assert said.err.count("\n") == 1
