"""What users of tools of this kind ran into: each kind of fault names the test that keeps it mended, which is there."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# By file: a kind of fault, and the test that fails where it comes back.
COMPLAINTS = {
    "study/test_sanity.py": {
        "the base's own rates are never judged": "test_a_base_that_hardly_refuses_stops_with_counts_and_three_replies",
    },
    "test_redaction.py": {
        "masking hides what is no token": "test_names_are_shown",
    },
    "lm/architecture/test_load_refusals.py": {
        "NaN passes a guard": "test_a_weight_that_is_no_number_is_refused_by_name",
        "our own adapter as a checkpoint": "test_what_cannot_be_loaded_is_one_line",
    },
    "lm/inference/test_suppression.py": {
        "the generation config is ignored": "test_replies_are_those_of_generate_alone_in_a_batch_drafted_or_forced",
        "what decoding does not heed is silent": "test_what_is_not_heeded_is_named",
    },
    "publish/card/test_model_card.py": {
        "the card's lines make another study": "test_a_point_is_typed_as_hydra_reads_it",
    },
    "data/test_splits.py": {
        "one prompt has two labels": "test_a_prompt_of_two_kinds_is_named",
    },
    "publish/test_export.py": {
        "an edit that edits nothing": "test_an_edit_that_edits_nothing_is_refused_before_anything_is_scored",
        "fine: a mis-named point": "test_another_point_is_exported_by_name_and_an_unknown_one_is_not",
    },
    "scoring/test_labelling.py": {
        "refusals that markers miss": "test_refusals_of_many_forms",
        "answers that are taken for refusals": "test_answers_that_use_words_of_refusal",
        "a sentence said ten times": "test_a_sentence_repeated_loops_for_rules_and_not_for_lists",
    },
    "lm/evaluation/test_first_token.py": {
        "a first token that is always the same": "test_a_certain_first_token_is_refused_as_an_objective",
    },
    "study/run/test_driver.py": {
        "known points of a begun study": "test_known_points_that_are_named_later_come_next_and_once",
    },
    "method/test_winsorisation.py": {
        "a massive dimension": "test_a_massive_dimension_hides_a_direction_and_clipping_brings_it_back",
    },
    "publish/report/test_front_report.py": {
        "harmless refusals are shown nowhere": "test_risen_refusals_of_harmless_prompts_are_a_warning",
    },
    "study/test_preflight.py": {
        "a split lacks a kind": "test_a_split_that_lacks_a_kind_is_named",
        "an unknown metric burns a name": "test_everything_wrong_is_one_list_and_nothing_is_left",
        "no trials, or fewer": "test_a_number_of_trials_is_at_least_one",
        "bare saber.frontier": "test_the_studies_that_there_are_are_named",
        "a misspelt checkpoint": "test_a_misspelt_checkpoint_is_told_before_the_base_is_loaded",
    },
    "lm/chat/test_chat_format.py": {
        "a template refuses a system turn": "test_a_system_turn_that_nobody_documents_a_place_for_is_one_line",
    },
    "test_text_files.py": {
        "output that is not UTF-8": "test_what_is_printed_and_written_survives_any_locale",
    },
    "lm/evaluation/test_judges.py": {
        "a judge thinks or writes a sentence": "test_a_judge_that_thinks_or_writes_a_sentence_is_understood",
    },
    "study/front/test_sceptic.py": {
        "a judge stops the report": "test_a_judge_that_gives_no_label_is_said_and_the_report_is_written_without_it",
    },
    "test_command_words.py": {
        "quoting": "test_the_word_that_is_shown_quoted_can_be_typed",
        "the commonest slips": "test_a_slip_is_named_as_it_was_typed_with_what_was_meant",
        "a part of a group": "test_a_part_of_a_group_and_of_the_space_can_be_given",
    },
    "data/test_columns.py": {
        "JSON arrays, TSV, Parquet, semicolons": "test_the_same_rows_in_every_kind_of_file",
    },
    "test_faults_docs.py": {
        "a regular expression is printed": "test_a_row_is_what_is_said",
    },
    "publish/test_dashboard.py": {
        "the dashboard's figure is cut": "test_the_figure_is_as_high_as_its_card_and_its_legend_stands_under_it",
    },
    "lm/editing/test_plan_file.py": {
        "a plan's bytes change by process": "test_the_same_plan_is_the_same_bytes_each_time",
    },
    "study/run/test_resume.py": {
        "fine: Ctrl-C and going on": "test_control_c_says_one_line_and_the_next_run_goes_on",
    },
    "data/test_sources.py": {
        "fine: byte order marks and line ends": "test_byte_order_marks_and_newlines",
    },
    "lm/architecture/test_families_batches.py": {
        "fine: a batch against each alone": "test_rows_that_end_early_change_nothing",
    },
    "lm/editing/test_lora.py": {
        "fine: PEFT against merged": "test_peft_on_the_base_is_the_edited_model",
    },
    "lm/editing/test_whole_checkpoint.py": {
        "fine: the same weights on any threads": "test_the_same_plan_gives_the_same_bytes_on_any_number_of_threads",
    },
    "fuzz/test_files.py": {
        "fine: a damaged file": "test_a_damaged_plan_is_refused_or_the_same",
    },
}


ROWS = [(kind, file, test) for file, kinds in COMPLAINTS.items() for kind, test in kinds.items()]


@pytest.mark.parametrize(("kind", "file", "test"), ROWS, ids=[kind for kind, _, _ in ROWS])
def test_a_complaint_has_its_test(kind: str, file: str, test: str) -> None:
    assert f"\ndef {test}(" in (TESTS / file).read_text(encoding="utf-8"), kind
