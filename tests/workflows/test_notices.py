"""Notifications around a command: retried, kept, bounded in time, and never a reason to fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from toolkit.adapters.notices.delivery import NotDelivered, PartlyDelivered
from toolkit.adapters.notices.outbox import Outbox
from toolkit.domain.trail.channel import Channel
from toolkit.domain.trail.notice import Notice
from toolkit.errors import InputError, RefusedError
from toolkit.workflows.trail import desk
from toolkit.workflows.trail.desk import KEEP_SECONDS, MOST_OLD, MOST_REFUSALS, NoticeDesk

SETTINGS = """\
channels:
  - {name: ops, webhook: 'https://ops.example/hook'}
  - {name: night, webhook: 'https://night.example/hook', when: [failed], commands: [deploy, upgrade]}
"""


class Post:
    """Channels that fail as `faults` say, and what arrived at them."""

    def __init__(self, place: Path, text: str = SETTINGS) -> None:
        self.place, self.time = place, 10_000.0
        self.faults: dict[str, list[NotDelivered]] = {}
        self.bad: dict[str, Exception] = {}
        self.arrived: list[tuple[str, str]] = []
        self.tries: list[str] = []
        self.said: list[str] = []
        self.pauses: list[float] = []
        self.hold: threading.Event | None = None
        (place / "notify.yaml").write_text(text)

    def deliver(self, channel: Channel, notice: Notice, now: float) -> None:
        self.tries.append(channel.name)
        if self.hold and channel.name == "ops":
            self.hold.wait(90)
        if notice.id in self.bad:
            raise self.bad[notice.id]
        faults = self.faults.get(channel.name, [])
        if faults:
            raise faults[0] if len(faults) == 1 else faults.pop(0)
        self.arrived.append((channel.name, notice.id))

    def desk(self, seconds: float = 10.0) -> NoticeDesk:
        return NoticeDesk(
            self.place / "notify.yaml", self.place, self.said.append, lambda: self.time,
            deliver=self.deliver, pause=self.pauses.append, seconds=seconds,
        )  # fmt: skip

    def tell(
        self,
        id: str,
        command: str = "upgrade",
        outcome: str = "release-failed",
        seconds: float = 10.0,
    ) -> list[tuple[str, str]]:
        notice = Notice(id, self.time, command, outcome)
        records = self.desk(seconds).tell(notice, {})
        return sorted((each["where"], each["outcome"]) for each in records)


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


def left(post: Post, channel: str, notice: Notice) -> None:
    """Leave a notice in the outbox, as a former command does."""
    box = Outbox(post.place)
    box.release(box.put(channel, notice))


def soon(holds: Callable[[], bool]) -> None:
    """Wait until that holds, for a minute at most."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


DOWN = NotDelivered("it answered 500", again=True)


def test_each_channel_gets_what_it_wants(post: Post) -> None:
    assert post.tell("a") == [("night", "delivered"), ("ops", "delivered")]
    assert post.tell("b", outcome="done") == [("ops", "delivered")]
    assert post.tell("c", "stop") == [("ops", "delivered")]
    assert post.tell("d", "keys add") == []
    assert sorted(post.arrived) == [("night", "a"), ("ops", "a"), ("ops", "b"), ("ops", "c")]
    assert list(Outbox(post.place).waiting()) == []


def test_a_failure_that_may_pass_is_tried_again_and_another_is_not(post: Post) -> None:
    post.faults = {"ops": [DOWN, DOWN, DOWN], "night": [NotDelivered("it answered 404")]}
    assert post.tell("a") == [("night", "kept"), ("ops", "kept")]
    assert (post.tries.count("ops"), post.tries.count("night")) == (3, 1)
    assert post.pauses == [0.5, 1.5]
    assert (
        "warning: ops was not told: it answered 500; it is kept, and the next command tries again"
        in post.said
    )


def test_a_mail_that_some_get_is_not_sent_again_and_the_others_are_named(post: Post) -> None:
    post.faults = {"ops": [PartlyDelivered("its server took no mail for nobody@b")]}
    assert post.tell("a", outcome="done") == [("ops", "delivered")]
    assert post.said == ["warning: ops was told in part: its server took no mail for nobody@b"]
    assert (post.tries, list(Outbox(post.place).waiting())) == (["ops"], [])
    # `toolkit notify test` is asked whether everybody is told.
    (tried, _) = post.desk().try_all(Notice("b", post.time, "upgrade", "done"))
    assert (tried["outcome"], tried["why"]) == ("failed", "its server took no mail for nobody@b")


def test_an_hour_of_failures_costs_each_command_four_tries_and_loses_nothing(post: Post) -> None:
    post.faults = {"ops": [DOWN], "night": [DOWN]}
    for number in range(6):
        post.time += 600
        post.tries.clear()
        post.tell(str(number), outcome="done")
        # Three for the oldest, and one for the newest.
        assert post.tries.count("ops") == (4 if number else 3)
    post.faults.clear()
    # Any recorded command tries again what waits, whether or not its own outcome is told.
    assert post.tell("x", "keys add") == [("ops", "delivered")] * 6
    assert [id for _, id in post.arrived] == [str(number) for number in range(6)]


@pytest.mark.parametrize(
    "fault", [NotDelivered("it answered 413"), ValueError("no header"), DOWN], ids=str
)
def test_a_notice_that_its_channel_refuses_holds_up_no_other(post: Post, fault: Exception) -> None:
    post.bad["a"] = fault
    assert post.tell("a", outcome="done") == [("ops", "kept")]
    for number in range(MOST_REFUSALS - 1):
        post.time += 600
        assert post.tell(str(number), outcome="done") == [("ops", "delivered"), ("ops", "kept")]
    post.said.clear()
    post.time += 600
    assert post.tell("y", outcome="done") == [("ops", "delivered"), ("ops", "given up")]
    why = fault.words if isinstance(fault, NotDelivered) else "ValueError"
    assert post.said == [
        f"warning: ops was not told of a (toolkit upgrade: done): {why}; "
        f"it took other notices meanwhile, and this one is given up after {MOST_REFUSALS} refusals"
    ]
    assert list(Outbox(post.place).waiting()) == []
    assert post.tell("z", outcome="done") == [("ops", "delivered")]


def test_what_waits_behind_a_notice_that_always_fails_is_not_given_up_with_it(post: Post) -> None:
    post.bad["bad"] = DOWN
    for number, name in enumerate(("bad", "next", "last")):
        left(post, "ops", Notice(name, 9000.0 + number, "stop", "done"))
    for number in range(MOST_REFUSALS):
        assert ("ops", "delivered") in post.tell(str(number), outcome="done")
    assert post.tell("x", "keys add") == [("ops", "delivered")] * 2
    assert [id for _, id in post.arrived] == ["0", "1", "2", "next", "last"]


def test_more_refused_notices_than_one_command_tries_hold_up_no_other(post: Post) -> None:
    for number in range(MOST_OLD):
        post.bad[f"bad{number}"] = NotDelivered("it answered 400")
        left(post, "ops", Notice(f"bad{number}", 9000.0 + number, "stop", "done"))
    left(post, "ops", Notice("good", 9500.0, "stop", "done"))
    for number in range(MOST_REFUSALS):
        assert ("ops", "delivered") in post.tell(str(number), outcome="done")
    assert post.tell("x", "keys add") == [("ops", "delivered")]
    assert ("ops", "good") in post.arrived


def test_a_channel_that_refuses_every_notice_loses_none(post: Post) -> None:
    post.faults = {"ops": [NotDelivered("the variable OPS_URL is not set")]}
    for number in range(MOST_REFUSALS + 3):
        post.time += 60
        post.tell(str(number), outcome="done")
    post.faults.clear()
    assert post.tell("x", "keys add") == [("ops", "delivered")] * (MOST_REFUSALS + 3)


def test_a_command_tries_only_so_many_of_what_waits(post: Post) -> None:
    for number in range(MOST_OLD + 5):
        left(post, "ops", Notice(f"{number:03}", 9000.0 + number, "stop", "done"))
    assert len(post.tell("x", "keys add")) == MOST_OLD
    assert post.desk().waiting() == {"ops": 5}


def test_a_channel_that_does_not_answer_delays_no_other_and_the_command_for_seconds_only(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.monotonic

    def since_the_other_was_told() -> float:
        ends = clock() + 60
        while not any(name == "night" for name, _ in post.arrived) and clock() < ends:
            time.sleep(0.01)
        return clock()

    # The thread that tells the other one may have to wait for a processor.
    monkeypatch.setattr(desk, "time", SimpleNamespace(monotonic=since_the_other_was_told))
    post.hold = threading.Event()
    assert post.tell("a", seconds=0.3) == [("night", "delivered"), ("ops", "kept")]
    assert "ops was not told: it did not answer within 0.3 s" in post.said[0]
    # It answers at last, and is not told again.
    post.hold.set()
    soon(lambda: not post.desk().waiting())
    post.hold = None
    assert post.tell("b", "keys add") == []
    assert post.arrived.count(("ops", "a")) == 1


def test_a_command_says_whom_it_still_tells(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "SILENT", 0.2)
    post.hold = threading.Event()
    records: list[list[tuple[str, str]]] = []
    other = threading.Thread(target=lambda: records.append(post.tell("a", seconds=60.0)))
    other.start()
    soon(lambda: [each[:13] for each in post.said] == ["telling ops, "])
    post.hold.set()
    other.join()
    assert records == [[("night", "delivered"), ("ops", "delivered")]]


def test_two_commands_at_once_tell_of_a_notice_once(post: Post) -> None:
    left(post, "ops", Notice("old", 9000.0, "stop", "done"))
    post.hold = threading.Event()
    records: list[list[tuple[str, str]]] = []
    other = threading.Thread(
        target=lambda: records.append(post.tell("a", outcome="done", seconds=60.0))
    )
    other.start()
    soon(lambda: bool(post.tries))
    # The other command is at it, with its own notice too.
    assert post.tell("b", "keys add") == []
    post.hold.set()
    other.join()
    assert records == [[("ops", "delivered")] * 2]
    assert post.arrived == [("ops", "old"), ("ops", "a")]


def test_what_is_delivered_is_out_of_the_outbox_before_slower_channels_have_answered(
    post: Post,
) -> None:
    """Whoever ends the command meanwhile must not have it told again."""
    post.hold = threading.Event()
    other = threading.Thread(target=post.tell, args=("a",), kwargs={"seconds": 60.0})
    other.start()
    soon(lambda: post.arrived == [("night", "a")] and post.desk().waiting() == {"ops": 1})
    post.hold.set()
    other.join()


def test_no_try_comes_before_the_time_that_the_channel_names(post: Post) -> None:
    busy = NotDelivered("it answered 429", again=True, wait=2.0)
    post.faults = {"ops": [busy, busy, NotDelivered("it answered 429", again=True, wait=3600.0)]}
    assert post.tell("a", outcome="done") == [("ops", "kept")]
    assert post.pauses == [2.0, 2.0]
    post.tries.clear()
    assert post.tell("b", outcome="done") == [("ops", "kept")] * 2
    # Once for the oldest, and once for the newest.
    assert post.tries == ["ops"] * 2


def test_what_is_too_old_or_has_no_channel_is_given_up(post: Post) -> None:
    left(post, "ops", Notice("old", post.time - KEEP_SECONDS - 1, "stop", "done"))
    left(post, "gone", Notice("new", post.time, "stop", "done"))
    assert post.tell("x", "keys add") == [("gone", "given up"), ("ops", "given up")]
    assert post.desk().waiting() == {}


def test_of_too_many_notices_the_oldest_are_given_up_and_that_is_told(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.adapters.notices.outbox.MOST_FILES", 3)
    post.faults = {"ops": [DOWN]}
    for number in range(5):
        left(post, "ops", Notice(str(number), 9000.0 + number, "stop", "done"))
    # To look changes nothing.
    assert post.desk().waiting() == {"ops": 5}
    records = post.desk().tell(Notice("x", post.time, "keys add", "done"), {})
    assert [(each["of"], each["outcome"]) for each in records] == [
        ("0", "given up"), ("1", "given up"), ("2", "kept"), ("3", "kept"), ("4", "kept"),
    ]  # fmt: skip
    assert records[0]["why"] == "too many wait"
    assert post.desk().waiting() == {"ops": 3}


def test_a_disk_that_takes_nothing_does_not_keep_a_notice_from_being_delivered(post: Post) -> None:
    (post.place / "outbox").write_text("in the way")
    assert post.tell("a", outcome="done") == [("ops", "delivered")]
    post.faults = {"ops": [DOWN]}
    assert post.tell("b", outcome="done") == [("ops", "lost")]


def test_wrong_settings_are_refused_before_and_said_after(tmp_path: Path) -> None:
    post = Post(tmp_path, "channels: 5")
    with pytest.raises(InputError, match=r"notify.yaml:1:11: channels must be a list"):
        post.desk().check()
    assert post.tell("a") == [(str(tmp_path / "notify.yaml"), "not told")]
    assert "warning: nobody is told" in post.said[0]


def test_without_settings_there_is_nothing_to_do(tmp_path: Path) -> None:
    post = Post(tmp_path)
    (tmp_path / "notify.yaml").unlink()
    post.desk().check()
    post.desk().ask_before({"command": "deploy"}, {})
    assert post.tell("a") == []
    assert not (tmp_path / "outbox").exists()


def test_a_named_file_that_is_not_there_is_a_fault_and_not_silence(tmp_path: Path) -> None:
    named = NoticeDesk(tmp_path / "typo.yaml", tmp_path, lambda _: None, lambda: 0.0)
    with pytest.raises(InputError, match=r"typo\.yaml"):
        named.check()
    (tmp_path / "notify.yaml").symlink_to("gone.yaml")
    with pytest.raises(InputError, match=r"notify\.yaml"):
        NoticeDesk(tmp_path / "notify.yaml", tmp_path, lambda _: None, lambda: 0.0).check()


def _hooks(place: Path, before: str, after: str) -> Post:
    for name, text in (("before", before), ("after", after)):
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    text = "".join(f"  {name}: {{run: [{place}/{name}]}}\n" for name in ("before", "after"))
    return Post(place, f"hooks:\n{text}")


def test_the_hook_before_refuses_a_deployment_with_its_words(tmp_path: Path) -> None:
    post = _hooks(tmp_path, "echo frozen until Monday; exit 1", "exit 0")
    with pytest.raises(
        RefusedError, match=f"the hook {tmp_path}/before refused it: frozen until Monday"
    ):
        post.desk().ask_before({"command": "upgrade"}, {"model": "tiny"})
    post.desk().ask_before({"command": "keys add"}, {})


def test_the_hook_after_fails_nothing(tmp_path: Path) -> None:
    post = _hooks(tmp_path, "exit 0", f"cat > {tmp_path}/got; echo no room; exit 1")
    assert post.tell("a") == [(f"{tmp_path}/after", "failed")]
    assert post.said == ["warning: the hook after the deployment failed: no room"]
    assert '"outcome": "release-failed"' in (tmp_path / "got").read_text()


CHANNEL = "channels:\n  - {name: ops, webhook: 'https://ops.example/hook'}\n"


def test_a_command_that_is_killed_in_the_hook_after_has_left_its_notice(tmp_path: Path) -> None:
    post = _hooks(tmp_path, "exit 0", f"ls {tmp_path}/outbox > {tmp_path}/got")
    post = Post(tmp_path, (tmp_path / "notify.yaml").read_text() + CHANNEL)
    assert ("ops", "delivered") in post.tell("a")
    assert (tmp_path / "got").read_text().count(".json") == 1


def test_ctrl_c_ends_the_hook_after_and_not_the_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    post = _hooks(tmp_path, "exit 0", "exit 0")
    post = Post(tmp_path, (tmp_path / "notify.yaml").read_text() + CHANNEL)
    monkeypatch.setattr("toolkit.adapters.notices.hook.call_hook", interrupted)
    assert post.tell("a") == [(f"{tmp_path}/after", "failed"), ("ops", "delivered")]
    assert post.said == ["warning: the hook after the deployment failed: interrupted"]
