"""A PostgreSQL server for tests: unprivileged, on loopback, ended with the process that started it."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

PASSWORD = "s3cret:&#word"
IN_URL = "s3cret%3A&#word"
START_SECONDS = 60
# Short, because the path of a socket has at most 107 characters.
SCRATCH = Path("/tmp")
PREFIX = "tkpg-"
# No write is synced: commits survive a crash of the server, but not of the machine.
QUICK = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB")


def missing() -> str:
    """Return what this machine lacks to run a server, empty if nothing."""
    if _programs() is None:
        return "no /usr/lib/postgresql/*/bin/initdb: scripts/system_packages.sh"
    return "" if find_spec("psycopg") else "psycopg is not installed: make install"


def require_postgresql() -> None:
    """Skip the test with the reason. In CI, fail instead, so that a passed run includes the test."""
    if lacking := missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lacking)


@dataclass
class PostgresLab:
    """A server at `port` of loopback, with the role `ops` (PASSWORD; none through its socket)."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def certificate(self) -> Path:
        """The certificate that a client must trust to verify the server."""
        return self.directory / "data" / "server.crt"

    def new_database(self) -> str:
        """Make an empty database; return its URL, password included."""
        name = f"history{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return f"postgresql://ops:{IN_URL}@127.0.0.1:{self.port}/{name}"

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the superuser."""
        import psycopg

        with psycopg.connect(
            host=str(self.directory),
            port=self.port,
            user="ops",
            dbname=database,
            autocommit=True,
            connect_timeout=60,
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start the server and return once it answers."""
        settings = [f"--{each}" for each in (*QUICK, "listen_addresses=127.0.0.1", "ssl=on")]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_unprivileged(), str(_program("postgres")), "-D", str(self.directory / "data"),
                 "-k", str(self.directory), "-p", str(self.port), *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
            )  # fmt: skip
        self._wait_until_up(self.process)

    def stop(self) -> None:
        """Stop the server at once, as if its machine lost power. Connections break."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=30)
        self.process = None

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        import psycopg

        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            try:
                self.sql("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{(self.directory / 'log').read_text()}")


@contextmanager
def postgres_server() -> Iterator[PostgresLab]:
    """Run a new server. The end of the context stops it and removes its files."""
    # Its port must not go to a connection of another program while it restarts.
    from tests.hostside.router_lab import free_port

    _remove_abandoned()
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=SCRATCH))
    lab = PostgresLab(directory, free_port())
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, _user())
        _make_cluster(directory)
        _make_certificate(directory)
        lab.start()
        yield lab
    finally:
        if lab.process is not None:
            lab.stop()
        shutil.rmtree(directory)


def _make_cluster(directory: Path) -> None:
    secret = directory / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    command = [
        *_unprivileged(),
        str(_program("initdb")),
        "-D",
        str(directory / "data"),
        "--no-sync",
    ]
    command += [
        "-U",
        "ops",
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        f"--pwfile={secret}",
    ]
    command += ["-E", "UTF8", "--locale=C", "--no-instructions"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=directory)
    if done.returncode:
        raise RuntimeError(f"initdb: {done.stderr}")


def _make_certificate(directory: Path) -> None:
    data = directory / "data"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
    ]
    command += [
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    command += ["-keyout", str(data / "server.key"), "-out", str(data / "server.crt")]
    subprocess.run([*_unprivileged(), *command], check=True, capture_output=True, timeout=30)


def _unprivileged() -> list[str]:
    """Run as another user, because PostgreSQL refuses to run as root, and end with this process in any case."""
    dies = ["setpriv", "--pdeathsig", "KILL"]
    if os.geteuid() == 0:
        dies += [f"--reuid={_user()}", "--regid=nogroup", "--clear-groups"]
    return dies


def _user() -> str:
    return "postgres" if any(each.pw_name == "postgres" for each in pwd.getpwall()) else "nobody"


def _program(name: str) -> Path:
    programs = _programs()
    assert programs is not None, "tests that need it call require_postgresql first"
    return programs / name


def _programs() -> Path | None:
    """Return the directory of the newest server's programs."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(found, key=lambda each: int(each.parts[4]), default=None)
    return newest.parent if newest else None


def _remove_abandoned() -> None:
    """Remove the files of a killed run. Its server has ended with it."""
    for directory in SCRATCH.glob(f"{PREFIX}*-*"):
        if not Path("/proc", directory.name.split("-")[1]).exists():
            shutil.rmtree(directory, ignore_errors=True)
