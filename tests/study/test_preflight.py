"""All that is wrong with a run is said at once, before its model is loaded, and leaves nothing behind."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from saber.config import Config
from saber.study.disk_room import cache_bytes
from saber.study.preflight import preflight
from saber.types import UserError
from saber.vocabulary import Mistakes
from tests.commands import configured, run_here
from tests.small_data import N_MEASURED, few_prompts

Usage = namedtuple("Usage", "total used free")


def words_in(folder: Path, *more: str) -> list[str]:
    """A study that could begin, all of it in ``folder``."""
    return ["+sweep=organism", f"study.dir={folder}/sweeps", f"export.dir={folder}/outputs", *more]


def with_sizes(words: list[str], split: str, **sizes: int) -> list[str]:
    """The words with other sizes of one split."""
    spelt = ", ".join(f"{kind}: {n}" for kind, n in sizes.items())
    return [*(word for word in words if not word.startswith(f"+data.{split}=")), f"+data.{split}={{{spelt}}}"]


def mistakes(config: Config, *, searching: bool = True) -> tuple[str, ...]:
    """The lines of what is wrong."""
    try:
        preflight(config, searching=searching)
    except Mistakes as error:
        return error.lines
    return ()


@pytest.mark.parametrize("word", ["study.dry_run=false", "study.dry_run=true"])
def test_everything_wrong_is_one_list_and_nothing_is_left(word: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    words = [
        "study.objectives=[{metric: refusal_rat}, {metric: kld}]",
        "study.constraints=[{metric: oops, at_most: 1}]",
        "study.enqueue=[{edit.reach: 3}]",
        "evaluate.marker_list=nope",
        "model.path=/nowhere/at/all",
        f"export.dir={tmp_path}/taken/outputs",
        "data.n_capability=5000",
    ]
    said = run_here("sweep", [*words_in(tmp_path), *words, word], tmp_path)
    assert said.status == 2
    head, *lines = said.err.splitlines()
    assert head == "error: 7 mistakes:"
    for expected in (
        "study.objectives: unknown metric refusal_rat; did you mean refusal_rate",
        "study.constraints: unknown metric oops; there are refusal_rate,",
        "study.enqueue: edit.reach is not searched",
        "unknown evaluate.marker_list=nope",
        "model.path: expected a folder, found none at /nowhere/at/all",
        f"export.dir: expected a folder, found that {tmp_path}/taken is a file",
        "data.n_capability asks for 5000 capability prompts",
    ):
        assert sum(expected in line for line in lines) == 1, (expected, lines)
    assert not (tmp_path / "sweeps").exists()


@pytest.mark.parametrize("n", ["0", "-5", "+0", "some"])
def test_a_number_of_trials_is_at_least_one(n: str, tmp_path: Path) -> None:
    said = run_here("sweep", words_in(tmp_path, f"study.n_trials={n}"), tmp_path)
    assert said.status == 2
    assert "study.n_trials: expected a number of trials from 1 on, such as 60 or +20, found" in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "sweeps").exists()


@pytest.mark.parametrize(
    ("split", "sizes", "said"),
    [
        (
            "tune",
            {"harmful": 6, "capability": 6},
            "the tune split has 6 harmful, 0 harmless: raise data.tune.harmful and",
        ),
        (
            "tune",
            {"harmless": 6, "capability": 6},
            "measures refusal_rate on harmful prompts, the tune split has 0 harmful",
        ),
        (
            "tune",
            {"harmful": 6},
            "measures kld on harmless or capability prompts, the tune split has 0 harmless, 0 cap",
        ),
        ("report", {"harmless": 6}, "measures refusal_rate on harmful prompts, the report split has 0 harmful"),
        ("report", {}, "measures kld on harmless or capability prompts, the report split has 0 harmless"),
        (
            "tune",
            {"harmful": 1, "harmless": 1, "capability": 1},
            "residual_refusal on 2 harmful and 2 harmless prompts",
        ),
    ],
)
def test_a_split_that_lacks_a_kind_is_named(split: str, sizes: dict[str, int], said: str, tmp_path: Path) -> None:
    words = with_sizes(words_in(tmp_path, *few_prompts(tmp_path)), split, **sizes)
    assert any(said in line for line in mistakes(configured(words)))
    assert any(said in line for line in mistakes(configured(words), searching=False))


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (
            "over_refusal_rate",
            "study.objectives measures over_refusal_rate on borderline prompts, the tune split has 0",
        ),
        ("protected_refusal_rate", "harmful prompts of a protected category, the tune split has none: name protected"),
    ],
)
def test_a_metric_without_prompts_is_named(metric: str, said: str, tmp_path: Path) -> None:
    sizes = {"harmful": N_MEASURED, "harmless": N_MEASURED, "capability": N_MEASURED}
    words = with_sizes(words_in(tmp_path, *few_prompts(tmp_path)), "tune", **sizes)
    asked = configured([*words, f"study.objectives=[{{metric: refusal_rate}}, {{metric: {metric}}}]"])
    assert [said in line for line in mistakes(asked)] == [True]


@pytest.mark.parametrize(
    "told",
    [
        {
            "study.sampler=os.path": "expected a subclass of optuna.samplers.BaseSampler at os.path, found",
            "study.storage='postgres://u:geheim1234@h/d'": "study.storage: expected the URL of a database, such as",
            "study.constraints=[{metric: capability, at_least: 90}, {metric: kld, at_least: 2, at_most: 1}]": (
                "study.constraints: capability is a rate, expected at_least from 0 to 1, found 90"
            ),
            "study.objectives=[{metric: refusal_rate, reference: 50}, {metric: kld, reference: 5}]": (
                "study.objectives: refusal_rate is a rate, expected a reference from 0 to 1, found 50"
            ),
            "study.name=mine": "study.constraints: kld cannot be at_least 2 and at_most 1",
        },
        {
            "study.sampler_arguments={population: 3}": "a sampler named by its dotted path, found study.sampler=tpe",
            "study.storage='sqlite:////nowhere/at/all.db'": "a folder for the file of sqlite:////nowhere/at/all.db",
        },
    ],
)
def test_a_search_that_cannot_be_run_is_named(told: dict[str, str], tmp_path: Path) -> None:
    lines = mistakes(configured(words_in(tmp_path, *few_prompts(tmp_path), *told)))
    assert len(lines) == len(told)
    assert [any(said in line for line in lines) for said in told.values()] == [True] * len(told)
    assert not any("geheim1234" in line for line in lines)


def test_a_value_of_a_key_that_is_searched_is_said_to_be_idle(tmp_path: Path) -> None:
    said: list[str] = []
    words = words_in(tmp_path, *few_prompts(tmp_path), "++edit.alpha_base=0.5", "edit.reach=2")
    preflight(configured(words), searching=True, say=said.append)
    warned = (
        "edit.alpha_base=0.5 changes nothing, as edit.alpha_base is searched; to set it, add ~space.edit.alpha_base"
    )
    assert [line for line in said if line.startswith("warning")] == [f"warning: {warned}"]


def test_every_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    words = few_prompts(tmp_path)
    (tmp_path / "few-harmful.jsonl").write_text("{", encoding="utf-8")
    (tmp_path / "few-harmless.jsonl").unlink()
    told = mistakes(configured(words_in(tmp_path, *words)))
    assert len(told) == 2
    assert "few-harmful.jsonl, line 1" in told[0]
    assert "few-harmless.jsonl" in told[1]


def test_a_full_disk_is_told_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"text_config": {"vocab_size": 262144}, "dtype": "bfloat16"}', encoding="utf-8")
    config = configured(words_in(tmp_path, f"model.path={model}", "model.dtype=auto"))
    needed = cache_bytes(config, preflight(config, searching=True).splits)
    assert needed is not None
    n_drift = 2 * 96  # harmless and capability prompts of tune, and of report
    assert needed > n_drift * config.evaluate.max_new_tokens * 262144 * 2
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - 10**8, 10**8))
    (said,) = mistakes(config)
    assert f"the caches take about {needed / 1e9:.2g} GB of disk" in said
    assert "0.1 GB are free" in said
    (tmp_path / "sweeps" / "organism" / "cache").mkdir(parents=True)
    assert mistakes(config) == ()  # begun: what is there already needs no room


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "outputs/organism_pt",
            "checkpoint: expected a folder, found none at outputs/organism_pt; did you mean organism_point",
        ),
        ("./nowhere", "checkpoint: expected a folder, found none at ./nowhere"),
    ],
)
def test_a_misspelt_checkpoint_is_told_before_the_base_is_loaded(path: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "outputs" / "organism_point").mkdir(parents=True)
    done = run_here("evaluate", [*words_in(tmp_path), f"checkpoint={path}"], tmp_path)
    assert done.status == 2
    assert said in done.err
    assert not (tmp_path / "sweeps").exists()


def test_the_studies_that_there_are_are_named(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "sweeps" / name).mkdir(parents=True)
        (tmp_path / "sweeps" / name / "study.db").touch()
    said = run_here("frontier", [f"study.dir={tmp_path}/sweeps"], tmp_path)
    assert said.status == 2
    assert "expected a study in" in said.err
    assert all(name in said.err for name in ("first", "second", "study.name=..."))
    nothing = run_here("frontier", [f"study.dir={tmp_path}/none"], tmp_path)
    assert "run python -m saber.sweep +sweep=organism first" in nothing.err


def test_a_study_that_can_begin_passes(tmp_path: Path) -> None:
    ready = preflight(configured(words_in(tmp_path, *few_prompts(tmp_path))), searching=True)
    assert len(ready.probes.harmful) == 8
    with pytest.raises(UserError, match="expected a space to search"):
        preflight(configured([f"study.dir={tmp_path}"]), searching=True)


@pytest.mark.parametrize(
    "where", ["edit.position=end_of_thought", "+space.edit.position={choices: [last, end_of_thought]}"]
)
@pytest.mark.parametrize("mode", ["off", "closed"])
def test_no_thought_ends_where_none_is_let_begin(where: str, mode: str, tmp_path: Path) -> None:
    said = run_here("sweep", words_in(tmp_path, where, f"model.thinking={mode}"), tmp_path)
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert f"expected a model that is to think, found model.thinking={mode}; set model.thinking=on" in said.err
    assert not (tmp_path / "sweeps").exists()
