"""Sharing: everything arrives at a server that speaks the hub's API, nothing is replaced unasked, no token is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.publish.hub import Hub, running

TOKEN = "hf_0123456789abcdefSecret"
CARD = "---\ntags:\n- saber\nbase_model_relation: {relation}\n---\n\n# Card\n"
PUSH = """
import json, sys
from pathlib import Path
from rich.console import Console
from saber.command import in_one_line
from saber.config.publish import ExportConfig
from saber.publish.export.push import push

folder, asked, answer = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]

def confirm(question):
    print(question)
    return answer == "y"

def go():
    print("at", push(folder, ExportConfig(**asked), Console(width=100), message="SABER point", confirm=confirm))

sys.exit(in_one_line(go))
"""


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "organism_point"
    (folder / "additional_chat_templates").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    (folder / "README.md").write_text(CARD.format(relation="finetune"))
    (folder / "saber.json").write_text("{}")
    (folder / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
    return folder


def pushed(hub: Hub, folder: Path, answer: str = "n", token: str = TOKEN, **asked: object) -> tuple[int, str]:
    """Push in a process of its own, which reads where the hub is when it starts; its status and all that it said."""
    more = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    words = json.dumps({"push_to": "someone/point", **asked})
    done = subprocess.run(
        [sys.executable, "-c", PUSH, str(folder), words, answer],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **more, "HF_HOME": str(folder.parent / "hf"), "NO_PROXY": "127.0.0.1"},
        cwd=Path(__file__).parents[2],
    )
    assert token not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_everything_arrives_in_a_private_repository(exported: Path) -> None:
    with running(TOKEN) as hub:
        status, said = pushed(hub, exported, push_dry_run=True)
        assert status == 0, said
        assert "additional_chat_templates/tools.jinja" in said
        assert "7 kB" in said
        assert "nothing was uploaded" in said
        assert not hub.repositories

        status, said = pushed(hub, exported)
        assert status == 0, said
        assert f"at {hub.url}/someone/point" in said
        held = hub.repositories["someone/point"]
        assert {name: data for name, data in held.items() if name != ".gitattributes"} == files_of(exported)
        assert hub.private["someone/point"]
        assert hub.messages == ["SABER point"]


def test_what_is_there_is_replaced_only_after_a_yes(exported: Path) -> None:
    with running(TOKEN) as hub:
        hub.create("someone/point", private=False)
        hub.repositories["someone/point"] |= {"thesis.tex": b"the only copy"}
        status, said = pushed(hub, exported, "n")
        assert status == 2
        assert "someone/point is there already: replace what it holds?" in said
        assert "expected a yes to replace someone/point, found none: nothing was uploaded" in said
        assert hub.repositories["someone/point"].keys() == {".gitattributes", "thesis.tex"}

        status, said = pushed(hub, exported, "y")
        assert status == 0, said
        assert hub.repositories["someone/point"].keys() == {".gitattributes", *files_of(exported)}
        status, said = pushed(hub, exported, push_overwrite=True)
        assert status == 0, said
        assert "replace what it holds?" not in said


def test_what_the_hub_refuses_is_one_line(exported: Path) -> None:
    with running(TOKEN) as hub:
        status, said = pushed(hub, exported, token="hf_wrong0123456789")
        assert status == 2
        assert "expected a token that may write someone/point" in said
        assert "run `hf auth login`, or set HF_TOKEN" in said
        (exported / "README.md").write_text(CARD.format(relation="sibling"))
        status, said = pushed(hub, exported)
        assert status == 2
        assert '"base_model_relation" is not valid' in said
        assert not set(hub.repositories.get("someone/point", {})) - {".gitattributes"}
    status, said = pushed(hub, exported)  # nobody listens there any more
    assert status == 2
    assert "Traceback" not in said
    assert "expected the hub to take someone/point, found:" in said
