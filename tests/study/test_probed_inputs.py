"""A study of inputs looks only at writers that can act, at the base's own replies, once, and says what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from saber.config import Config
from saber.keys import with_values
from saber.lm.evaluation.reference import make_reference
from saber.lm.inference.positions import rows_to_read
from saber.study.context import Workbench, open_workbench
from saber.study.probed_inputs import possible_edits
from saber.study.run.evaluator import evaluate, plan_trials
from saber.study.search.space import parse_space
from saber.types import Split
from saber.vocabulary import Position
from tests.commands import configured, run_here, words_of

INPUTS = ("edit=saber_inputs", "~space", "+space.edit.acting_band.low={low: 0.3, high: 0.5}", "study.enqueue=[]")
FEWER = ("data.n_probe=24", "data.n_capability=16")


def opened(words: list[str]) -> tuple[Workbench, Config]:
    config = configured(words)
    bench = open_workbench(config, parse_space(config))
    return bench, with_values(config, {"edit.acting_band.low": 0.4})


def test_writers_that_can_act_are_looked_at_once(
    organism_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words_of(organism_folder, tmp_path, *INPUTS, *FEWER, "+edit.component_scale.per_layer=0")
    bench, config = opened(words)
    assert bench.inputs is not None
    captured = bench.inputs.captured
    acting = [w for w in bench.adapter.writers if w.kind != "per_layer" and w.layer / 9 >= 0.3]
    assert list(captured.read) == [writer.place for writer in acting]
    said = capsys.readouterr().out
    assert f"inputs of {len(acting)} writers at {captured.rows.n_rows} positions take" in said
    again, _ = opened(words)
    assert again.inputs is not None
    assert "inputs of" not in capsys.readouterr().out
    for place, rows in captured.read.items():
        assert torch.equal(rows, again.inputs.captured.read[place])
    plans = [plan_trials(either, [config])[0].plan.digest for either in (bench, again)]
    assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("searched", "is_steady"),
    [
        ("edit.inputs.spare_weight={low: 0.5, high: 2.0}", True),
        ("edit.inputs.protected_weight={low: 0.5, high: 2.0}", False),
        ("data.n_probe={low: 12, high: 24}", False),
    ],
)
def test_sums_are_kept_for_a_study_whose_trials_read_the_same(
    organism_folder: Path, tmp_path: Path, searched: str, is_steady: bool
) -> None:
    bench, _ = opened(words_of(organism_folder, tmp_path, *INPUTS, *FEWER, f"+space.{searched}"))
    assert bench.inputs is not None
    assert bench.inputs.is_steady == is_steady


def test_replies_are_the_base_s_own_to_what_is_left_alone(organism_folder: Path, tmp_path: Path) -> None:
    bench, config = opened(words_of(organism_folder, tmp_path, *INPUTS, *FEWER))
    assert bench.inputs is not None
    looked_at = [sequence for sequence in bench.inputs.captured.rows.sequences if sequence.is_reply]
    protected = {i for i, prompt in enumerate(bench.probes.harmful) if prompt.protected}
    assert {row.prompt for row in looked_at if row.kind == "harmful"} <= protected
    assert {row.kind for row in looked_at} == {"harmful", "harmless", "capability"}
    prompts = bench.probes.capability
    reference = make_reference(bench.adapter, Split("probe", prompts), config.evaluate)
    for row in looked_at:
        if row.kind == "capability":
            whole = (*reference.rows[row.prompt], *reference.responses[row.prompt].whole)
            assert row.tokens == whole[:-1]
            assert min(row.positions) >= len(reference.rows[row.prompt])
            assert len(row.positions) <= config.edit.inputs.replies


def test_inputs_are_read_at_each_position_that_is_searched(organism_folder: Path, tmp_path: Path) -> None:
    positions = "+space.edit.position={choices: [last, last_instruction]}"
    bench, config = opened(words_of(organism_folder, tmp_path, *INPUTS, positions, *FEWER))
    positions_searched: tuple[Position, ...] = ("last", "last_instruction")
    for position in positions_searched:
        adapter, probed = bench.read_at(position)
        assert probed.inputs is not None
        at_probes = [row for row in probed.inputs.captured.rows.sequences if not row.is_reply]
        wanted = rows_to_read(adapter, [*bench.probes.harmful, *bench.probes.harmless, *bench.probes.capability])
        assert [list(row.tokens) for row in at_probes] == wanted
        assert all(row.positions == (len(row.tokens) - 1,) for row in at_probes)
    last, instruction = (with_values(config, {"edit.position": position}) for position in ("last", "last_instruction"))
    mixed = plan_trials(bench, [instruction, last, instruction])
    alone = plan_trials(bench, [last])
    assert mixed[0].plan.digest == mixed[2].plan.digest != mixed[1].plan.digest == alone[0].plan.digest


def test_nothing_is_captured_where_outputs_are_read(organism_folder: Path, tmp_path: Path) -> None:
    bench, _ = opened(words_of(organism_folder, tmp_path, "edit=saber_depth", *FEWER))
    assert bench.inputs is None


def test_a_study_that_searches_readers_knows_them_all(organism_folder: Path, tmp_path: Path) -> None:
    choices = "+space.edit.reader={choices: [inputs, least_drift]}"
    words = words_of(organism_folder, tmp_path, "edit=saber_depth", "~space", choices, "study.enqueue=[]", *FEWER)
    bench, config = opened(words)
    assert {edit.reader for edit in possible_edits(parse_space(config), config)} == {"inputs", "least_drift"}
    assert bench.inputs is not None


def test_a_trial_of_inputs_is_measured_and_its_plan_is_kept(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, *INPUTS, *FEWER, "study.n_trials=2")
    said = run_here("sweep", words, tmp_path)
    assert said.status == 0, said.err
    bench, config = opened(words)
    within, outside = (with_values(config, {"edit.acting_band.low": low}) for low in (0.4, 0.2))
    result, other = evaluate(bench, [within, outside])
    assert result.measured is not None
    assert (
        other.failure == "expected what goes into 2.self_attn.o_proj to be captured, found it outside the study's space"
    )


def test_unit_rows_are_one_line(organism_folder: Path, tmp_path: Path) -> None:
    words = words_of(organism_folder, tmp_path, *INPUTS, *FEWER, "edit.norm_preserve=unit_row", "study.n_trials=1")
    said = run_here("sweep", words, tmp_path)
    assert said.status == 2
    assert "expected edit.norm_preserve=none or row with edit.reader=inputs, found unit_row" in said.err
