"""A private PostgreSQL: its own folder and port, on 127.0.0.1 only, started, stopped and restarted at will."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

PASSWORD = "s3cret-of-the-tests"
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
ACCOUNT = "postgres"


@dataclass(frozen=True)
class Server:
    """A server in ``folder`` at ``port``; its user is saber, and the password is asked for."""

    programs: Path
    folder: Path
    port: int

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://saber:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: ``immediate`` as a crash does, ``fast`` by ending the sessions."""
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-m", mode, "stop")

    def make_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "saber", name)
        return self.url(name)

    def _run(self, program: str, *words: str) -> None:
        as_owner = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
        command = [*as_owner, "env", f"PGPASSWORD={PASSWORD}", str(self.programs / program), *words]
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _started(server: Server) -> Server:
    """The same server, started, at another port where another process took its port first."""
    try:
        server.start()
    except AssertionError:
        server = replace(server, port=free_port())
        server.start()
    return server


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server with an empty cluster; stopped and removed afterwards."""
    base = Path(tempfile.mkdtemp(prefix="saber-postgres-"))
    secret = base / "password"
    secret.write_text(PASSWORD)
    folder = base / "data"
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        for path in (base, secret, folder):
            shutil.chown(path, ACCOUNT)
    server = Server(INSTALLED[-1], folder, free_port())
    server._run(
        "initdb", "-D", str(folder), "-A", "scram-sha-256", "-U", "saber", "--pwfile", str(secret), "--no-sync"
    )  # fmt: skip
    try:
        server = _started(server)
        yield server
    finally:
        with contextlib.suppress(AssertionError):  # a test may have stopped it
            server.stop()
        shutil.rmtree(base, ignore_errors=True)
