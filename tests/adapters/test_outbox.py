"""The outbox of notices on a real disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.test_notices import NOTICE
from toolkit.adapters.notices import outbox
from toolkit.adapters.notices.outbox import Outbox
from toolkit.domain.trail.notice import Notice


def test_what_waits_is_read_again_in_the_order_of_time(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    later = Notice("b", 2000.0, "stop", "done")
    for each in (later, NOTICE, NOTICE):
        assert box.put("ops", each).path
    found = list(Outbox(tmp_path).waiting())
    assert [(each.channel, each.notice) for each in found] == [("ops", NOTICE), ("ops", later)]
    box.remove(found[0])
    assert [each.notice for each in box.waiting()] == [later]


def test_refusals_are_counted_and_bring_back_nothing_that_was_delivered(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    box.put("ops", NOTICE)
    for number in (1, 2):
        [found] = box.waiting()
        assert (found.notice, box.refused(found)) == (NOTICE, number)
    [found] = box.waiting()
    assert found.refusals == 2
    # Two commands at once: one delivers what the other one has counted meanwhile, and a third one counts late.
    assert box.refused(found) == 3
    Outbox(tmp_path).remove(found)
    assert box.refused(found) == 3
    assert list(box.place.iterdir()) == []


def test_what_another_command_delivers_meanwhile_hides_nothing_that_waits(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    notices = [Notice(each, 1000.0, "stop", "done") for each in "abc"]
    for each in notices:
        box.put("ops", each)
    waiting = box.waiting()
    first = next(waiting)
    second, third = [each for each in box.waiting() if each.path != first.path]
    Outbox(tmp_path).remove(second)
    assert list(waiting) == [third]


@pytest.mark.parametrize("fault", [errno.EIO, errno.EACCES])
def test_a_notice_that_the_disk_does_not_give_back_hides_no_later_one_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    box = Outbox(tmp_path)
    lost, later = (box.put("ops", Notice(each, 1000.0, "stop", "done")) for each in "ab")
    first = min(box.place.glob("*.json"))
    [kept] = [each for each in (lost, later) if each.path != first]
    whole = outbox.read_regular

    def read(path: Path) -> bytes:
        if path == first:
            raise OSError(fault, os.strerror(fault), str(path))
        return whole(path)

    monkeypatch.setattr(outbox, "read_regular", read)
    assert list(box.waiting()) == [kept]
    assert first.exists()


def test_a_notice_is_one_commands_until_that_lets_go_or_ends(tmp_path: Path) -> None:
    box, other = Outbox(tmp_path), Outbox(tmp_path)
    mine = box.put("ops", NOTICE)
    [seen] = other.waiting()
    assert (box.claim(mine), other.claim(seen)) == (False, False)
    box.release(mine)
    assert other.claim(seen)
    assert not box.claim(mine)
    other.remove(seen)
    assert not box.claim(mine)
    assert list(box.waiting()) == []


def test_the_claim_of_a_killed_command_is_gone(tmp_path: Path) -> None:
    words = (
        "import sys, time; from pathlib import Path; from toolkit.adapters.notices.outbox import Outbox\n"
        "from tests.adapters.test_notices import NOTICE\n"
        f"Outbox(Path({str(tmp_path)!r})).put('ops', NOTICE); print('put', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE) as killed:
        assert killed.stdout and killed.stdout.readline() == b"put\n"
        box = Outbox(tmp_path)
        [found] = box.waiting()
        assert not box.claim(found)
        killed.kill()
    assert box.claim(found)
    assert found.notice == NOTICE


def test_an_outbox_drops_what_cannot_be_read(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    for number in range(3):
        box.put("ops", Notice(str(number), 1000.0 + number, "stop", "done"))
    for path, text in zip(
        sorted(box.place.glob("*.json")), ["", "[]", '{"channel": 1}'], strict=True
    ):
        path.write_text(text)
    assert list(box.waiting()) == []
    assert list(box.place.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"), [("at", "x"), ("at", 10**400), ("id", 5), ("command", None), ("outcome", [])]
)
def test_a_notice_with_a_value_of_a_wrong_kind_is_none(
    tmp_path: Path, name: str, value: object
) -> None:
    box = Outbox(tmp_path)
    box.put("ops", NOTICE)
    [path] = box.place.glob("*.json")
    found = json.loads(path.read_text())
    assert name in found["notice"]
    path.write_text(json.dumps({**found, "notice": {**found["notice"], name: value}}))
    assert list(box.waiting()) == []
    assert not path.exists()


def test_a_disk_that_takes_nothing_leaves_the_notice_in_memory(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("in the way")
    assert Outbox(tmp_path).put("ops", NOTICE).path is None
    assert list(Outbox(tmp_path).waiting()) == []
