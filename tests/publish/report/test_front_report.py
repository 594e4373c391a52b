"""The report: complete, safe against names, written in one move, and drawn without error by a real browser."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from saber.atomic_files import write_atomically
from saber.publish.analysis.harmless_refusals import harmless_text
from saber.publish.analysis.neighbours import indistinct_pairs
from saber.publish.figures import CATALOGUE, Drawing, front_figure
from saber.publish.report.front_report import render_report, write_report
from saber.publish.report.interpretation import N_UNDER_ONE_PER_CENT, read_result
from saber.publish.text.wording import estimate_text
from saber.scoring.statistics import wilson_interval
from saber.types import BaseRow, Estimate, Frontier, Objective

COMMANDS = ["python -m saber.sweep +sweep=gemma4", "python -m saber.frontier +sweep=gemma4"]
ATTACK = "</script><script>alert(1)</script>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--virtual-time-budget=12000", "--window-size=1400,2600", "--enable-logging=stderr",
]  # fmt: skip


@pytest.fixture(scope="module")
def page(frontier: Frontier) -> str:
    return render_report(frontier, COMMANDS, ["a note"])


def visible(page: str) -> str:
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize(
    "heading",
    ["Reading the result", "The front in numbers", "The winner’s curse", "Limits and responsible use", "Commands"]
    + [drawing.title for drawing in CATALOGUE],
)
def test_report_has_all_sections(page: str, heading: str) -> None:
    assert re.search(rf"<h[23]>{re.escape(heading)}</h[23]>", page)


def test_report_contains_every_front_point_with_its_numbers(page: str, frontier: Frontier) -> None:
    rows = re.findall(r"<tr.*?</tr>", visible(page), flags=re.DOTALL)
    for point in frontier.front:
        row = next(row for row in rows if f"<td>{point.name}<" in row)
        assert f"{100 * point.tune['refusal_rate']:.1f}%" in row
        assert f"{point.tune['kld']:.4f}" in row
        assert f"{point.score:.4f}" in row
        assert all(mark in row for mark in point.marks)


def test_the_base_stands_first_with_its_replies_escaped(frontier: Frontier) -> None:
    row = BaseRow("harmful", 3, {"refuse": 2, "odd": 1}, 1, 2, (("refuse", "open it", f"I cannot {ATTACK}"),), 3)
    told = visible(render_report(dataclasses.replace(frontier, base_rows=(row,)), COMMANDS, []))
    assert told.index("<h2>The base model</h2>") < told.index("Headline numbers") < told.index("Reading the result")
    cells = ("harmful", 3, 2, 0, 0, 0, 0, 1, 3, "1/2")
    assert "".join(f"<td>{cell}</td>" for cell in cells) in told
    assert "I cannot &lt;/script&gt;" in told
    assert "The base model</h2>" not in visible(render_report(frontier, COMMANDS, []))


def test_risen_refusals_of_harmless_prompts_are_a_warning(frontier: Frontier) -> None:
    name = "harmless_refusal_rate"
    assert harmless_text(frontier) == ""
    point = frontier.front[0]
    worse = dataclasses.replace(point.tune, estimates={**point.tune.estimates, name: Estimate(0.5, 60, 0.4, 0.6)})
    points = tuple(dataclasses.replace(p, tune=worse) if p.number == point.number else p for p in frontier.points)
    risen = dataclasses.replace(frontier, points=points)
    assert harmless_text(risen).startswith(f"1 of {len(frontier.front)} front points refuse more harmless prompts than")
    assert harmless_text(risen).endswith(f"most of all {point.name}, 30/60 = 50.0% [40.0, 60.0].")
    assert any(line.lead == "Ordinary prompts refused." for line in read_result(risen))


def test_report_has_base_commands_notes_and_protocol(page: str, frontier: Frontier) -> None:
    text = visible(page)
    assert all(command in text for command in COMMANDS)
    assert "a note" in text
    assert frontier.base_tune.protocol in text
    assert "base model" in text


def tiles(page: str) -> list[str]:
    """The words of each tile."""
    section = re.search(r'<section class="tiles".*?</section>', page, flags=re.DOTALL)
    assert section is not None
    return [" ".join(re.sub(r"<[^>]+>", " ", tile).split()) for tile in section[0].split('<div class="tile')[1:]]


def test_no_headline_stands_alone(page: str) -> None:
    base, aggressive, *_ = tiles(page)
    assert "98.0% refusal 48/49 [89.3, 99.6] 0.0000 KLD, nats" in base
    assert base.endswith("over-refusal 33.3% · protected 100.0% · capability 95.0%")
    assert aggressive.endswith("over-refusal 3.3% · protected 35.0% · capability 78.8%")


def test_a_study_that_seeks_something_else_has_that_as_its_headline(frontier: Frontier) -> None:
    sought = [("over_refusal_rate", "minimize"), ("protected_refusal_rate", "maximize"), ("kld", "minimize")]
    shaping = dataclasses.replace(
        frontier,
        objectives=tuple(Objective(metric=name, direction=way, reference=1.0) for name, way in sought),  # type: ignore[arg-type]
    )
    page = render_report(shaping, COMMANDS, [])
    assert "33.3% over-refusal 20/60" in tiles(page)[0]
    assert tiles(page)[0].endswith("refusal 98.0% · capability 95.0%")
    words = {line.lead: line.text for line in read_result(shaping)}
    assert "over-refusal rate is" in words["Held-out prompts."]
    assert "protected refusal rate is" in words["Held-out prompts."]
    assert ", refusal rate is" not in words["Held-out prompts."]
    assert "20/60 = 33.3% [22.7, 45.9] of the borderline ones" in words["The study."]
    assert "Against one plain direction." in {line.lead for line in read_result(frontier)} - set(words)


def test_the_report_says_what_its_own_number_of_prompts_can_show(frontier: Frontier, page: str) -> None:
    assert "No refusal among 120 prompts still allows a rate of 3.1%" in visible(page)
    assert frontier.base_report is not None
    unmeasured = dataclasses.replace(frontier, base_report=None)
    assert "No refusal among 49 prompts still allows a rate of 7.3%" in visible(render_report(unmeasured, [], []))
    assert wilson_interval(0, N_UNDER_ONE_PER_CENT)[1] < 0.01 <= wilson_interval(0, N_UNDER_ONE_PER_CENT - 1)[1]


def test_a_point_is_read_with_what_became_of_it_on_held_out_prompts(frontier: Frontier) -> None:
    words = {line.lead: line.text for line in read_result(frontier)}
    for point in frontier.front:
        if point.marks and point.report is not None:
            text = words[f"{' and '.join(point.marks).capitalize()}."]
            assert f"{100 * point.tune['over_refusal_rate']:.1f}% after" in text
            assert f", {100 * point.report['over_refusal_rate']:.1f}% held out." in text


def test_names_are_escaped_everywhere(frontier: Frontier) -> None:
    points = [
        dataclasses.replace(p, name=ATTACK, params={ATTACK: ATTACK, **p.params}) if p.on_front else p
        for p in frontier.points
    ]
    published = tuple(dataclasses.replace(row, name=ATTACK, source=ATTACK) for row in frontier.published)
    hostile = dataclasses.replace(
        frontier, study=ATTACK, base_model=ATTACK, points=tuple(points), published=published,
        importances={ATTACK: {ATTACK: 1.0}},
    )  # fmt: skip
    assert "<script>alert" not in render_report(hostile, [ATTACK], [ATTACK])


def test_the_long_name_of_a_point_breaks_where_a_phone_is_narrow(page: str) -> None:
    assert "p, li, figcaption { overflow-wrap: anywhere; }" in page


def test_report_loads_nothing_from_anywhere(page: str) -> None:
    assert not re.search(r"""<(?:script|link|img|iframe)[^>]*\s(?:src|href)\s*=""", page)
    assert "default-src 'none'" in page
    assert page.count("* plotly.js v") == 1


def test_write_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    write_atomically(target, "old")

    def fail(self: Path, *_: object, **__: object) -> None:
        self.touch()
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, "new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_report_writes_one_file(frontier: Frontier, tmp_path: Path) -> None:
    write_report(frontier, tmp_path / "study" / "report.html", COMMANDS, [])
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["report.html"]


def test_a_bare_study_gives_sentences_and_no_error(bare: Frontier) -> None:
    page = render_report(bare, [], [])
    assert "The commands were not recorded." in page
    for drawing in CATALOGUE:
        figure = drawing.draw(bare)
        assert len(figure.data) == 0
        assert str(figure.layout.annotations[0].text).endswith(".")


@pytest.mark.parametrize("drawing", CATALOGUE, ids=lambda drawing: drawing.key)
def test_every_figure_draws_the_study(drawing: Drawing, frontier: Frontier) -> None:
    assert len(drawing.draw(frontier).data) >= 1


def test_front_figure_shows_each_trial_once_with_intervals_on_the_front(frontier: Frontier) -> None:
    traces = {trace.name: trace for trace in front_figure(frontier).data}
    front = traces["front, with 95% intervals"]
    shown = [len(traces[name].x) for name in ("front, with 95% intervals", "trials", "infeasible trials")]
    assert sum(shown) == len(frontier.points)
    assert len(traces["the same, on held-out prompts"].x) == len(frontier.front) == len(front.x)
    assert len(traces["one plain direction (null curve)"].x) == len(frontier.curve)
    first = min(frontier.front, key=lambda point: point.tune["kld"]).tune.estimates["refusal_rate"]
    assert front.error_y.array[0] == pytest.approx(first.high - first.value)
    assert front.error_y.arrayminus[0] == pytest.approx(first.value - first.low)


def test_other_objectives_get_their_own_plane(frontier: Frontier) -> None:
    objectives = (dataclasses.replace(frontier.objectives[0], metric="capability", direction="maximize"),)
    figure = front_figure(dataclasses.replace(frontier, objectives=objectives))
    titles = {figure.layout.xaxis.title.text, figure.layout.yaxis.title.text}
    assert titles == {"capability, more is better", "keyword refusal rate"}


def test_the_pairs_of_a_long_front_are_folded_away(frontier: Frontier) -> None:
    front = [
        dataclasses.replace(point, outcomes={"refusal_rate": tuple(float(j < i) for j in range(49))})
        for i, point in enumerate(frontier.front)
    ]
    assert len(front) > 13
    long, short = (
        render_report(dataclasses.replace(frontier, points=tuple(points)), [], []) for points in (front, front[:2])
    )
    assert re.search(rf"<details>\s*<summary>{len(front) - 1} pairs of neighbours</summary>", long)
    assert re.search(r"<details open>\s*<summary>1 pair of neighbours</summary>", short)


def test_neighbours_with_overlapping_intervals_are_said(frontier: Frontier) -> None:
    front = frontier.front
    pairs = indistinct_pairs(front)
    assert (front[0], front[1]) in pairs  # 0/49 and 1/49
    assert indistinct_pairs([front[0], front[-1]]) == []
    said = {statement.lead: statement.text for statement in read_result(frontier)}
    assert "can be told apart" in said["Telling points apart."]
    assert "50.1%" in said["Held-out prompts."]


def test_estimates_in_words() -> None:
    assert estimate_text("refusal_rate", Estimate(0.0, 49, 0.0, 0.0727)) == "0/49 = 0.0% [0.0, 7.3]"
    assert estimate_text("kld", Estimate(0.3164, 79, 0.29, 0.342)) == "0.3164 [0.2900, 0.3420], n = 79"
    assert estimate_text("kld", Estimate(float("inf"), 79, 0.1, float("inf"))) == "∞ [0.1000, ∞], n = 79"
    assert estimate_text("kld_max", Estimate(2.0, 79, 2.0, 2.0)) == "2.0000, n = 79"
    assert estimate_text("capability", None) == "—"


@pytest.fixture(scope="module")
def browser(frontier: Frontier, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The screenshot, the DOM after drawing, and what the browser logged."""
    if CHROMIUM is None:
        pytest.skip("no chromium binary on this machine")
    folder = tmp_path_factory.mktemp("browser")
    write_report(frontier, folder / "report.html", COMMANDS, [])
    picture = folder / "report.png"

    def run(what: str) -> subprocess.CompletedProcess[str]:
        profile = f"--user-data-dir={folder / what.strip('-').split('=')[0]}"
        command = [str(CHROMIUM), *FLAGS, profile, what, (folder / "report.html").as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)

    log = run(f"--screenshot={picture}").stderr
    drawn = run("--dump-dom")
    return picture, drawn.stdout, log + drawn.stderr


def test_a_browser_draws_every_figure_without_error(browser: tuple[Path, str, str]) -> None:
    _, dom, log = browser
    assert "CONSOLE" not in log, [line for line in log.splitlines() if "CONSOLE" in line]
    for drawing in CATALOGUE:
        figure = dom.split(f'id="figure-{drawing.key}"', 1)[1].split("</figure>", 1)[0]
        assert "main-svg" in figure
        assert re.search(r'<path class="point|<g class="point', figure)


def test_the_screenshot_is_not_blank(browser: tuple[Path, str, str]) -> None:
    data = browser[0].read_bytes()
    width, height = (int.from_bytes(data[at : at + 4]) for at in (16, 20))
    assert (width, height) == (1400, 2600)
    assert len(data) > 150_000  # a page of one colour compresses to about 15 kB
