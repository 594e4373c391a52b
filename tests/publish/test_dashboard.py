"""optuna-dashboard really shows a published study: its names, note, figure and responses, and its page in a browser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saber.publish.dashboard import FIGURE_ID, card_figure, dashboard_command
from saber.publish.figures import front_figure
from saber.types import Frontier
from tests.commands import configured, open_trials, words_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_S = 60


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def served(
    published_once: Path, organism_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The address of a dashboard that was started with the command we tell people to run, and the study's folder."""
    folder = tmp_path_factory.mktemp("dashboard")
    shutil.copytree(published_once, folder, dirs_exist_ok=True)
    port = free_port()
    program, *arguments = dashboard_command(configured(words_of(organism_folder, folder))).split()
    command = [str(Path(sys.executable).parent / program), *arguments, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/api/studies", server)
            yield f"http://127.0.0.1:{port}", folder
        finally:
            server.terminate()


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            get(address)
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, "the dashboard has ended"
            assert time.monotonic() < end, "the dashboard does not answer"
            time.sleep(0.1)
        else:
            return


def get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
        return bytes(answer.read())


@pytest.fixture(scope="module")
def shown(served: tuple[str, Path]) -> dict[str, Any]:
    """What the dashboard's own page is given of our study."""
    address, _ = served
    (summary,) = json.loads(get(f"{address}/api/studies"))["study_summaries"]
    assert summary["study_name"] == "organism"
    study: dict[str, Any] = json.loads(get(f"{address}/api/studies/{summary['study_id']}"))
    return study | {"study_id": summary["study_id"]}


def test_objectives_have_their_names(shown: dict[str, Any]) -> None:
    assert shown["objective_names"] == ["refusal_rate", "kld"]
    assert shown["directions"] == ["minimize", "minimize"]


def test_the_note_has_the_front_and_the_next_commands(shown: dict[str, Any], served: tuple[str, Path]) -> None:
    note = shown["note"]["body"]
    assert "Pareto points of 4 trials" in note
    assert "python -m saber.export +sweep=organism" in note
    best = min(
        open_trials(served[1]), key=lambda trial: tuple(trial.values)
    )  # of equal refusals the nearer to the base
    assert str(best.user_attrs["name"]) in note


def test_our_figure_of_the_front_is_there(shown: dict[str, Any]) -> None:
    (figure,) = (figure for figure in shown["plotly_graph_objects"] if figure["id"] == FIGURE_ID)
    drawn = json.loads(figure["graph_object"])
    assert drawn["data"]
    assert drawn["layout"]


def test_every_trial_has_its_responses_as_a_table(shown: dict[str, Any], served: tuple[str, Path]) -> None:
    address, _ = served
    assert len(shown["trials"]) == 4
    kinds = []
    for trial in shown["trials"]:
        (artifact,) = trial["artifacts"]
        assert artifact["filename"].startswith(f"responses-{trial['number']}-")
        place = f"{address}/artifacts/{shown['study_id']}/{trial['trial_id']}/{artifact['artifact_id']}"
        rows = [json.loads(line) for line in get(place).decode().splitlines()]
        kinds.append({row["kind"] for row in rows})
        refused = [row["label"] == "refuse" for row in rows if row["kind"] == "harmful"]
        assert sum(refused) / len(refused) == pytest.approx(trial["values"][0])
    every = {"harmful", "harmless", "borderline", "capability"}
    assert kinds[0] == every  # nothing beats the first
    assert all(of in (every, {"harmful"}) for of in kinds)


def scan_lines(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and the filtered scan lines of a PNG; a blank picture has hardly two that differ."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, packed, width, height = 8, b"", 0, 0
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw = zlib.decompress(packed)
    step = len(raw) // height
    return width, height, [raw[i : i + step] for i in range(0, len(raw), step)]


def browse(address: str, home: Path, *what: str) -> bytes:
    """Let a headless browser open a page and do something with it."""
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1400,1000",
        "--virtual-time-budget=8000",
        f"--user-data-dir={home}/profile",
        *what,
        address,
    ]
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(command, capture_output=True, timeout=2 * PATIENCE_S, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to look at it with")
def test_a_browser_shows_it(served: tuple[str, Path], shown: dict[str, Any], tmp_path: Path) -> None:
    page = f"{served[0]}/dashboard/studies/{shown['study_id']}"
    browse(page, tmp_path, f"--screenshot={tmp_path}/page.png")
    width, height, lines = scan_lines((tmp_path / "page.png").read_bytes())
    assert (width, height) == (1400, 1000)
    assert len(set(lines)) > height / 4
    document = browse(page, tmp_path, "--dump-dom").decode()
    assert "organism" in document
    assert "js-plotly-plot" in document


def test_the_figure_is_as_high_as_its_card_and_its_legend_stands_under_it(frontier: Frontier, bare: Frontier) -> None:
    figure = card_figure(frontier)
    assert (figure.layout.height, figure.layout.width) == (450, None)
    assert figure.layout.legend.orientation == "h"
    assert figure.layout.legend.yref == "container"
    assert front_figure(frontier).layout.height > 450
    low, high = figure.layout.yaxis.range
    assert low < front_figure(frontier).layout.yaxis.range[0] < high
    assert card_figure(bare).layout.height == 450
