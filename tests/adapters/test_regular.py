"""A pipe that nobody writes to, in place of a file of the operator or of the home, is an error and no wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.adapters.ansible.certificate import certificate_digest
from toolkit.adapters.audit.late import late_records
from toolkit.adapters.audit.log import AuditLog
from toolkit.adapters.audit.who import _lines
from toolkit.adapters.endpoint.endpoint import _first_certificate
from toolkit.adapters.engines.wheelhouse import read_stamp
from toolkit.adapters.history.glance import releases_in
from toolkit.adapters.history.history import History
from toolkit.adapters.metrics_files import read_setup
from toolkit.adapters.notices import delivery
from toolkit.adapters.notices.outbox import Outbox
from toolkit.adapters.prometheus import read_credentials
from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.adapters.sightings import Sightings
from toolkit.adapters.store.manifest import read_manifest
from toolkit.adapters.timers import SystemdUnits
from toolkit.cli.opening.trail import _digests
from toolkit.config.completion.glance import hosts_in
from toolkit.config.completion.known_names import known_keys
from toolkit.config.engine_locks import read_lock
from toolkit.config.golden.reading import read_golden
from toolkit.config.inventory.plain import read_plain
from toolkit.config.notify import load_notify
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.registry.upstream import Sighting
from toolkit.domain.trail.channel import SecretPlace
from toolkit.errors import ToolkitError
from toolkit.regular import claim

GOLDEN = "- {prompt: What is this?, images: [cat.png], expect: {contains: cat}}\n"
LOCK = "vllm-0.32.0-cpu-py311.lock"


def locked(place: Path) -> None:
    with ScheduleRecord(place).locked():
        pass


def of_late(place: Path) -> bool:
    return claim(place / "run/audit-late-1") is not None


def see(place: Path) -> object:
    return Sightings(place).see({"org/model": {"a" * 40: Sighting(1.0, False)}})


def golden(place: Path) -> object:
    (place / "golden.yaml").write_text(GOLDEN)
    return read_golden(place / "golden.yaml", lambda _: "")


def certificate(place: Path) -> str:
    path = str(place / "tls.pem")
    return certificate_digest(Host("a", router_tls_certificate=path, router_tls_key=path))


def history(place: Path) -> History:
    return History(place / "history.db", lambda: 1000.0)


REFUSED: list[tuple[str, Callable[[Path], object]]] = [
    ("audit/log.jsonl", lambda place: AuditLog(place).read()),
    ("audit/log.jsonl", lambda place: AuditLog(place).append({"event": "begin"})),
    ("history.db", history),
    ("schedule.json", lambda place: ScheduleRecord(place).read()),
    ("schedule.lock", locked),
    ("sightings.lock", see),
    ("metrics.json", read_setup),
    ("notify.yaml", lambda place: load_notify(place / "notify.yaml")),
    ("key", lambda place: delivery._read(SecretPlace(file=str(place / "key")), {})),
    ("cat.png", golden),
    ("golden.yaml", lambda place: read_golden(place / "golden.yaml", lambda _: "")),
    ("tls.pem", lambda place: _first_certificate(place / "tls.pem")),
    ("tls.pem", certificate),
    ("token", lambda place: read_credentials(str(place / "token"))),
    ("fleet.yaml", lambda place: read_plain(place / "fleet.yaml")),
    ("hosts", lambda place: read_plain(place / "hosts")),
    (LOCK, lambda place: read_lock(place / LOCK)),
]
PASSED_OVER: list[tuple[str, Callable[[Path], object], object]] = [
    ("sightings.json", lambda place: list(see(place)), ["org/model"]),  # type: ignore[call-overload]
    ("outbox/1-a.json", lambda place: list(Outbox(place).waiting()), []),
    ("run/audit-late-1", lambda place: list(late_records(place)), []),
    ("run/audit-late-1", of_late, False),
    ("authorized_keys", lambda place: _lines(place / "authorized_keys"), []),
    ("history.db", lambda place: releases_in(place / "history.db", "tiny"), []),
    ("names.json", lambda place: known_keys(place, None), []),
    ("fleet.yaml", lambda place: hosts_in(place / "fleet.yaml"), []),
    ("manifest.json", read_manifest, None),
    ("stamp.json", lambda place: read_stamp(place / "stamp.json"), {}),
    ("a.timer", lambda place: SystemdUnits(place).read("a.timer"), ""),
    ("registry.yaml", lambda place: _digests({"registry_path": str(place / "registry.yaml")}), {}),
]


def outcome(call: Callable[[Path], object], place: Path) -> Any:
    """Return what the call returns or raises; it must end by itself."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call(place))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert found, "it waits for a writer"
    return found[0]


def pipe(place: Path, name: str) -> None:
    (place / name).parent.mkdir(exist_ok=True)
    os.mkfifo(place / name)


@pytest.mark.parametrize(
    ("name", "call"), REFUSED, ids=[f"{n}-{name}" for n, (name, _) in enumerate(REFUSED)]
)
def test_a_pipe_in_place_of_a_file_is_refused_by_its_name(
    tmp_path: Path, name: str, call: Callable[[Path], object]
) -> None:
    pipe(tmp_path, name)
    error = outcome(call, tmp_path)
    assert isinstance(error, Exception)
    assert "regular file" in str(error)
    if isinstance(error, ToolkitError):
        assert error.hint
        assert "Errno" not in error.message
    assert name in str(error) or name in str(getattr(error, "filename", ""))
    assert (tmp_path / name).is_fifo()


@pytest.mark.parametrize(
    ("name", "call", "found"),
    PASSED_OVER,
    ids=[f"{n}-{name}" for n, (name, *_) in enumerate(PASSED_OVER)],
)
def test_a_pipe_among_what_a_command_can_do_without_is_passed_over(
    tmp_path: Path, name: str, call: Callable[[Path], object], found: object
) -> None:
    pipe(tmp_path, name)
    assert outcome(call, tmp_path) == found
