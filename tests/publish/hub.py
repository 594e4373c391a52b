"""A server on this machine that speaks the part of the hub's API that an upload needs, and keeps what it was sent."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

LARGE = (".safetensors", ".gguf")


class Hub:
    """One user's repositories: files by name, and the headers that requests came with."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.messages: list[str] = []
        self.objects: dict[str, bytes] = {}
        self.url = ""

    def create(self, name: str, private: bool) -> None:
        """A repository as it is before anything is in it."""
        self.repositories.setdefault(name, {".gitattributes": b"*.safetensors filter=lfs\n"})
        self.private.setdefault(name, private)

    def commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        """Do what the lines of a commit say."""
        held = self.repositories[name]
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            elif line["key"] == "file":
                held[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                held[value["path"]] = self.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del held[value["path"]]


@contextmanager
def running(token: str) -> Iterator[Hub]:
    """The server, until the end."""
    hub = Hub(token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Answers(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts: list[bytes] = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _say(self, value: object, status: int = 200, **headers: str) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(data)

    def _is_known(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.hub.token}":
            return True
        self._say({"error": "Invalid username or password."}, 401)
        return False

    def do_GET(self) -> None:
        """What is there."""
        if not self._is_known():
            return
        path = self.path.partition("?")[0].removeprefix("/api/models/")
        name = "/".join(path.split("/")[:2])
        if name not in self.hub.repositories:
            self._say({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        elif "/tree/" in path:
            held = self.hub.repositories[name]
            self._say([{"type": "file", "path": n, "size": len(d), "oid": _git(d)} for n, d in held.items()])
        else:
            self._say({"id": name, "sha": "0" * 40, "private": self.hub.private[name], "siblings": [], "tags": []})

    def do_PUT(self) -> None:
        """A large file."""
        data = self._body()
        self.hub.objects[hashlib.sha256(data).hexdigest()] = data
        self._say({})

    def do_POST(self) -> None:
        """Create, ask how to upload, commit."""
        body = self._body()
        if not self._is_known():
            return
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.hub.repositories:
                self._say({"error": "You already created this model repo", "url": name}, 409)
                return
            self.hub.create(name, asked.get("visibility") == "private")
            self._say({"url": f"{self.hub.url}/{name}"})
        elif self.path == "/api/validate-yaml":
            errors = _errors(json.loads(body)["content"])
            self._say({"warnings": [], "errors": errors}, 400 if errors else 200)
        elif "/preupload/" in self.path:
            files = [load["path"] for load in json.loads(body)["files"]]
            modes = {name: "lfs" if name.endswith(LARGE) else "regular" for name in files}
            self._say({"files": [{"path": n, "uploadMode": m, "shouldIgnore": False} for n, m in modes.items()]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            href = {entry["oid"]: {"upload": {"href": f"{self.hub.url}/put/{entry['oid']}"}} for entry in objects}
            self._say({"transfer": "basic", "objects": [{**entry, "actions": href[entry["oid"]]} for entry in objects]})
        elif "/commit/" in self.path:
            name = "/".join(self.path.removeprefix("/api/models/").split("/")[:2])
            self.hub.commit(name, [json.loads(line) for line in body.splitlines()])
            self._say({"commitUrl": f"{self.hub.url}/{name}/commit/1", "commitOid": "1" * 40, "success": True})
        else:
            self._say({"error": f"unknown {self.path}"}, 404)


def _errors(card: str) -> list[dict[str, str]]:
    """What the hub refuses in a card's front matter, as far as ours could break it."""
    front = yaml.safe_load(card.split("---\n")[1])
    relations = {"finetune", "adapter", "merge", "quantized", None}
    wrong = [] if front.get("base_model_relation") in relations else ["base_model_relation"]
    for model in front.get("model-index", []):
        for result in model["results"]:
            wrong += [key for key in ("task", "dataset", "metrics") if not result.get(key)]
    return [{"message": f'"{key}" is not valid'} for key in wrong]


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
