"""Use is collected from the hosts' ledgers into the history: each record once, whoever collects, wherever it ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.adapters.history_lab import Clock
from tests.adapters.test_history_use import CHUNK, LEDGER, ROW, SECOND
from tests.hostside.router_lab import REPO
from tests.workflows.ledger_host import LedgerHost, carry, requests, wrote
from tests.workflows.world import World, release
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.history.database import Address
from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.use import chunk_from_json
from toolkit.domain.clients.use import LedgerPlace, LedgerSums, UseChunk
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError, ToolkitError
from toolkit.planning.use.reconciled import reconciled
from toolkit.workflows.use.collect import collect, collect_in_passing, tell

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry
import use_hand_out
import use_ledger


def test_records_of_no_ledger_are_an_error_and_not_dropped(tmp_path: Path) -> None:
    wrote(tmp_path, 3)
    found = use_hand_out.hand_out(str(tmp_path), asdict(LedgerPlace("")))
    with pytest.raises(ValueError, match="records of no ledger"):
        chunk_from_json("gpu1", {**found, "ledger": ""})
    assert chunk_from_json("gpu1", {**found, "ledger": "", "rows": [], "runs": []}).rows == ()


def test_all_that_hosts_have_comes_in_and_nothing_twice(history: History, tmp_path: Path) -> None:
    hosts = [LedgerHost(f"gpu{number}", tmp_path / f"gpu{number}") for number in (1, 2)]
    for number, host in enumerate(hosts):
        wrote(host.root, 100 + number)
    assert collect(hosts, history).records == 201
    assert (requests(history), hosts[0].asked > 5) == (201, True)
    assert collect(hosts, history).records == 0
    assert requests(history) == 201
    (found,) = reconciled(history.use_runs())
    assert (found.records, found.runs, found.difference_in, found.difference_out) == (201, 2, 0, 0)
    assert {each.host: each.requests for each in history.use(by=("host",))} == {
        "gpu1": 100,
        "gpu2": 101,
    }


def test_a_host_that_was_away_is_named_and_brings_the_rest_later(
    history: History, tmp_path: Path
) -> None:
    hosts = [LedgerHost(f"gpu{number}", tmp_path / f"gpu{number}") for number in (1, 2)]
    for host in hosts:
        wrote(host.root, 50)

    def away(place: LedgerPlace) -> UseChunk:
        raise HostError("gpu2: no route to host")

    there = hosts[1].use
    hosts[1].use = away  # type: ignore[method-assign]
    found = collect(hosts, history)
    assert (found.records, [*found.errors]) == (50, ["gpu2"])
    hosts[1].use = there  # type: ignore[method-assign]
    # A week later: its ledger has gone on in other files, its replica in another run, its watch was killed.
    wrote(hosts[1].root, 60, run="b" * 16)
    assert collect(hosts, history).records == 110
    assert requests(history) == 160


def test_two_that_collect_at_once_bring_each_record_once(
    history_place: Path | Address, history: History, tmp_path: Path
) -> None:
    host = LedgerHost("gpu1", tmp_path / "gpu1", most=1000)
    wrote(host.root, 400)
    others = [History(history_place, Clock()) for _ in range(3)]
    brought: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: brought.append(collect([host], each).records))
        for each in others
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in others:
        each.close()
    assert sum(brought) == 400
    assert requests(history) == 400
    assert reconciled(history.use_runs())[0].exact


COLLECT = """
import sys
from pathlib import Path
from tests.adapters.history_lab import Clock
from tests.workflows.ledger_host import LedgerHost
from toolkit.adapters.history.history import History
from toolkit.workflows.use.collect import collect
host = LedgerHost("gpu1", Path(sys.argv[1]), most=600)
history = History(Path(sys.argv[2]), Clock())

def tells() -> bool:
    sys.stdin.read(1)
    print("a part comes", flush=True)
    return True

collect([host], history, tells)
"""


def test_a_collection_that_is_killed_at_any_point_is_continued(tmp_path: Path) -> None:
    root, place = tmp_path / "gpu1", tmp_path / "history.db"
    wrote(root, 3000)
    draw = random.Random(5)
    for _ in range(6):
        collecting = subprocess.Popen(
            [sys.executable, "-c", COLLECT, str(root), str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPO,
            env={**os.environ, "PYTHONPATH": str(REPO)},
        )
        assert collecting.stdin is not None and collecting.stdout is not None
        parts = draw.randrange(2, 40)
        # It waits for a word before each part, so that it does not come to its end while this process is held up.
        collecting.stdin.write(b"." * (parts + 20))
        collecting.stdin.flush()
        for _ in range(parts):
            assert collecting.stdout.readline() == b"a part comes\n"
        time.sleep(draw.random() * 0.02)
        collecting.send_signal(signal.SIGKILL)
        assert collecting.wait() == -signal.SIGKILL
        collecting.stdin.close()
        collecting.stdout.close()
    history = History(place, Clock())
    before = requests(history)
    collect([LedgerHost("gpu1", root)], history)
    assert before > 0
    assert requests(history) == 3000
    assert reconciled(history.use_runs())[0].exact
    history.close()


def test_a_host_with_another_name_goes_on_where_it_was(history: History, tmp_path: Path) -> None:
    host = LedgerHost("gpu1", tmp_path / "gpu1")
    replica = wrote(host.root, 20)
    collect([host], history)
    replica.record()
    carry(host.root)
    renamed = LedgerHost("one", tmp_path / "gpu1")
    assert collect([renamed], history).records == 1
    assert requests(history) == 21


def test_a_host_that_was_set_up_anew_begins_anew(history: History, tmp_path: Path) -> None:
    first = LedgerHost("gpu1", tmp_path / "former")
    wrote(first.root, 20)
    collect([first], history)
    again = LedgerHost("gpu1", tmp_path / "again")
    wrote(again.root, 5)
    assert collect([again], history).records == 5
    assert collect([again], history).records == 0
    # and back, as after a mistake in the fleet file
    assert collect([first], history).records == 0
    assert requests(history) == 25


def test_records_that_were_dropped_are_counted_as_lost(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_ledger, "FILE_BYTES", 3000)
    monkeypatch.setattr(use_ledger, "MOST_FILES", 2)
    host = LedgerHost("gpu1", tmp_path / "gpu1", most=10**6)
    replica = wrote(host.root, 3)
    collect([host], history)
    carrier = use_carry.Carrier(str(host.root))
    for _ in range(100):
        replica.record()
        carrier.look()
    found = collect([host], history)
    (cursor,) = history.use_cursors()
    assert cursor.lost > 0
    assert found.records + cursor.lost == 100
    assert reconciled(history.use_runs())[0].missing == cursor.lost


def test_a_collection_stops_where_it_is_told_to(history: History, tmp_path: Path) -> None:
    host = LedgerHost("gpu1", tmp_path / "gpu1", most=1000)
    wrote(host.root, 100)
    times = iter([True, True, False])
    found = collect([host], history, lambda: next(times))
    assert (found.unfinished, 0 < requests(history) < 100) == (("gpu1",), True)


def test_hosts_in_memory_hand_out_the_same_way(history: History) -> None:
    host = FakeHost(Host("gpu-1"))
    assert collect([host], history).records == 0
    host.ledger = [CHUNK, SECOND]
    assert collect([host], history).records == 4
    assert history.use()[0] == replace(
        ROW, requests=3, tokens_in=35, tokens_out=9, reasoning=2, audio_seconds=3.0
    )
    assert [each.place for each in history.use_cursors()] == [LedgerPlace(LEDGER, 1, 800)]


def test_a_collection_in_passing_fails_no_command(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost(Host("gpu-1"))
    host.ledger = [CHUNK]

    def broken(chunk: UseChunk) -> bool:
        raise ToolkitError("the history takes nothing")

    monkeypatch.setattr(history, "add_use", broken)
    collect_in_passing([host], history)


def test_the_end_of_a_deployment_collects(tmp_path: Path) -> None:
    world = World(tmp_path, 2)
    for number, host in enumerate(world.hosts.values()):
        other = f"{number:016x}"
        host.ledger = [
            replace(CHUNK, host=host.name, start=LedgerPlace(other), end=LedgerPlace(other, 1, 400))
        ]
    world.deploy(release(1))
    assert requests(world.history) == 4
    assert [each.place.offset for each in world.history.use_cursors()] == [400, 400]


def test_each_host_is_told_what_keys_used_on_the_others() -> None:
    hosts = [FakeHost(Host(f"gpu{number}")) for number in (1, 2, 3)]
    made = [
        LedgerSums(
            f"{number:016x}", "2026-11-27", "2026-11", {"ann": (number, 100, number, 100, 0)}
        )
        for number in range(3)
    ]
    for host, sums in zip(hosts, made, strict=True):
        host.sums = (sums,)
    # What a host knows of one that is gone.
    gone = LedgerSums("f" * 16, "2026-11-20", "2026-11", {"ann": (1, 1, 7, 7, 0)})
    hosts[2].sums = (made[2], gone)

    def away(told: object) -> None:
        raise HostError("gpu2: no route to host")

    hosts[1].tell_use = away  # type: ignore[method-assign]
    tell(hosts)
    assert [each.told for each in hosts] == [(*made, gone), (), (*made, gone)]


def test_a_host_that_got_another_name_is_the_same_ledger() -> None:
    sums = LedgerSums(LEDGER, "2026-11-27", "2026-11", {"ann": (1, 100, 1, 100, 5)})
    before, other = FakeHost(Host("gpu1")), FakeHost(Host("gpu2"))
    before.sums = (sums,)
    tell([before, other])
    renamed = FakeHost(Host("gpu9"))
    renamed.sums = (replace(sums, keys={"ann": (2, 200, 2, 200, 10)}),)
    tell([renamed, other])
    assert renamed.told == other.told == renamed.sums


def test_a_host_alone_is_told_nothing() -> None:
    host = FakeHost(Host("gpu-1"))
    host.sums = (LedgerSums(LEDGER, "2026-11-27", "2026-11", {}),)
    tell([host])
    assert host.told == ()
