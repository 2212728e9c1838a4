"""Many dialogs with a host over one process there: none holds up, ends or hears another one, and all end with it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.waiting import until
from toolkit.adapters.hosts import strand
from toolkit.adapters.hosts.channel import HostChannel
from toolkit.adapters.hosts.client import HostClient
from toolkit.adapters.hosts.dialog import Dialog, DialogEnded
from toolkit.adapters.hosts.host import RealHost
from toolkit.adapters.hosts.ssh import HOSTSIDE
from toolkit.adapters.hosts.ways import Here
from toolkit.adapters.interruption import Interruption
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError

OWNER = LockOwner("ann@ops", "toolkit rollback tiny", 1)
# The channel of the host's side with commands of this test.
PROGRAM = f"""
import json, os, subprocess, sys, time
sys.path.append({str(HOSTSIDE)!r})
import channel
def say(**answer):
    print(json.dumps(answer), flush=True)
def run(name):
    if name == "deaf":
        say(event=dict(deaf=True))
        time.sleep(60)
    elif name == "parent":
        say(event=dict(errors="x" * 2**18))
        subprocess.Popen(["sleep", "60"])
        sys.exit("the last words")
    elif name == "killed":
        os.kill(os.getpid(), 9)
    elif name == "wordless":
        os.close(2)
        say(event=dict(closed=True))
        sys.stdin.readline()
        say(event=dict(heard=True))
        sys.stdin.read()
    elif name == "wordy":
        os.close(1)
        os.write(2, b"x" * 2**18 + b"the last words")
        os._exit(4)
    elif name == "flood":
        while True:
            say(event=dict(line="x" * 1000))
    else:
        for line in sys.stdin:
            say(result=dict(said=json.loads(line), pid=os.getpid()))
    return 0
channel.serve(run)
"""


@pytest.fixture
def channel() -> Iterator[HostChannel]:
    made = HostChannel(lambda: Dialog([sys.executable, "-c", PROGRAM]))
    yield made
    made.end()


def processor_seconds(pid: int) -> float:
    """Return the processor's time of a process up to now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asked(dialog: Dialog, **request: object) -> dict[str, object]:
    dialog.send(request)
    (answer,) = dialog.answers()
    result: dict[str, object] = answer["result"]
    return result


def test_dialogs_answer_beside_each_other_in_processes_of_their_own(channel: HostChannel) -> None:
    dialogs = [Dialog(channel.strand("echo")) for _ in range(3)]
    answers = [asked(each, number=place, more="x\r\n") for place, each in enumerate(dialogs)]
    assert [each["said"] for each in answers] == [{"number": n, "more": "x\r\n"} for n in range(3)]
    assert len({each["pid"] for each in answers}) == 3
    assert channel._dialog is not None
    for each in dialogs:
        each.end()
        assert each.process.poll() == 0
    assert channel._dialog.process.poll() is None


def test_a_line_of_megabytes_arrives_whole(channel: HostChannel) -> None:
    dialog = Dialog(channel.strand("echo"))
    text = "äß\n" * 2**18
    assert asked(dialog, text=text)["said"] == {"text": text}


def test_a_dialog_that_reads_nothing_holds_up_no_other(channel: HostChannel) -> None:
    deaf, other = Dialog(channel.strand("deaf")), Dialog(channel.strand("echo"))
    next(deaf.answers())
    deaf.send({"text": "x" * 2**20})
    assert asked(other, number=1)["said"] == {"number": 1}
    deaf.kill()
    with pytest.raises(DialogEnded):
        next(deaf.answers())
    assert asked(other, number=2)["said"] == {"number": 2}


def test_a_process_that_left_another_behind_has_ended_with_its_code_and_words(
    channel: HostChannel,
) -> None:
    answers = Dialog(channel.strand("parent")).answers()
    assert len(next(answers)["event"]["errors"]) == 2**18
    with pytest.raises(DialogEnded) as ended:
        next(answers)
    assert (ended.value.code, ended.value.words) == (1, "the last words\n")


def test_a_process_that_has_closed_its_standard_error_keeps_no_processor_busy(
    channel: HostChannel,
) -> None:
    dialog = Dialog(channel.strand("wordless"))
    answers = dialog.answers()
    assert next(answers)["event"] == {"closed": True}
    assert channel._dialog is not None
    process = channel._dialog.process
    assert isinstance(process, subprocess.Popen)
    used = processor_seconds(process.pid)
    time.sleep(1)
    assert processor_seconds(process.pid) - used < 0.2
    dialog.send({})
    assert next(answers)["event"] == {"heard": True}
    dialog.end()
    assert dialog.process.poll() == 0


def test_the_words_of_a_process_that_has_closed_its_standard_output_are_read_to_their_end(
    channel: HostChannel,
) -> None:
    with pytest.raises(DialogEnded) as ended:
        next(Dialog(channel.strand("wordy")).answers())
    assert ended.value.code == 4
    assert ended.value.words.endswith("xthe last words")


def test_a_line_for_a_process_whose_standard_input_was_closed_ends_no_other(
    channel: HostChannel,
) -> None:
    other = Dialog(channel.strand("echo"))
    assert asked(other, number=1)["said"] == {"number": 1}
    assert channel._dialog is not None
    channel._dialog.write(b"9 open wordless\n9 close\n9 line x\n9 line y\n")
    assert asked(other, number=2)["said"] == {"number": 2}


def test_a_process_that_was_killed_tells_by_which_signal(channel: HostChannel) -> None:
    with pytest.raises(DialogEnded) as ended:
        next(Dialog(channel.strand("killed")).answers())
    assert ended.value.code == -9


def test_a_host_that_says_more_than_anybody_reads_is_not_kept(
    channel: HostChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strand, "_UNREAD", 2**20)
    flood = channel.strand("flood")
    assert flood.wait(60) < 0
    assert asked(Dialog(channel.strand("echo")), number=1)["said"] == {"number": 1}


def test_a_host_without_a_further_process_says_so() -> None:
    refused = "def fork():\n    raise OSError('no more processes')\nos.fork = fork\nchannel.serve("
    channel = HostChannel(
        lambda: Dialog([sys.executable, "-c", PROGRAM.replace("channel.serve(", refused)])
    )
    with pytest.raises(DialogEnded, match="no more processes"):
        next(Dialog(channel.strand("echo")).answers())
    channel.end()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Welcome to this host!", "what prints there at a login"),
        ("1 line Welcome", "what prints there at a login"),
        ("1 ended", r"\(1, ''\)"),
        ('1 ended ["a", 5]', r"""\["a", 5\]"""),
        ("1 ended [5", r"\[5"),
        ("7 line x\n7 ended x\n-1 line x\n1 dance\n1", "prints there at a login"),
    ],
)
def test_a_host_that_says_what_is_no_line_of_a_channel_is_not_waited_for(
    said: str, words: str
) -> None:
    script = f"import sys\nprint({said!r}, flush=True)\nfor line in sys.stdin: pass"
    channel = HostChannel(lambda: Dialog([sys.executable, "-c", script]))
    with pytest.raises((HostError, DialogEnded)) as caught:
        next(Dialog(channel.strand("echo")).answers())
    hint = caught.value.hint if isinstance(caught.value, HostError) else ""
    assert re.search(words, f"{caught.value} {hint}")
    channel.end()


class Local(RealHost):
    """This machine as a host, with the real host's side, and the interruption of its command."""

    def __init__(self, root: Path) -> None:
        self.interruption = Interruption()
        host = Host("gpu1", connection="local", root=str(root))
        self.client = HostClient(Here(host), self.interruption)
        super().__init__(self.client)

    @property
    def pid(self) -> int:
        """The process of the channel."""
        assert self.client._channel._dialog is not None
        return self.client._channel._dialog.process.pid

    def held(self) -> bool:
        return bool(deployment_lock_read(self.host.root)["held"])


def deployment_lock_read(root: str) -> dict[str, object]:
    """Return who holds the lock, by a process that knows of no channel."""
    script = (
        "import json, sys, deployment_lock; print(json.dumps(deployment_lock.read(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, root],
        env={**os.environ, "PYTHONPATH": str(HOSTSIDE)},
        capture_output=True,
        check=True,
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    made = Local(tmp_path)
    yield made
    made.client.end()


def children(pid: int) -> set[int]:
    """Return the processes that `pid` has started and that still run."""
    return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def gone(pid: int) -> Callable[[], bool]:
    return lambda: not Path(f"/proc/{pid}").exists()


def test_look_lock_and_wait_share_a_process_of_the_host_and_leave_nothing(local: Local) -> None:
    local.client.connect()
    local.observe()
    pid, (brief,) = local.pid, children(local.pid)
    with local.lock(OWNER):
        assert local.held()
        assert len(children(pid)) == 2
        local.observe()
        assert not local.wait_ready("tiny-blue", 1, 0.0, lambda _: None).ok
        local.require_lock()
    assert not local.held()
    assert children(pid) == {brief}
    assert local.pid == pid
    local.client.end()
    until(gone(pid), 60, bool)
    until(gone(brief), 60, bool)


def test_an_interruption_of_a_request_leaves_the_lock(local: Local) -> None:
    with socket.create_server(("127.0.0.1", 0)) as replica, local.lock(OWNER):
        # Nobody answers: the request goes on until it is interrupted.
        port = replica.getsockname()[1]
        timer = threading.Timer(0.5, local.interruption.begin)
        timer.start()
        with pytest.raises(HostError, match="interrupted"):
            local.complete(port, {}, 60.0)
        timer.join()
        local.interruption.over()
        local.require_lock()
        assert local.held()
        assert local.observe().held_by is not None


def test_a_channel_that_ends_takes_the_lock_and_all_dialogs_along(local: Local) -> None:
    with local.lock(OWNER):
        local.observe()
        pid, left = local.pid, children(local.pid)
        os.kill(pid, signal.SIGKILL)
        for each in left:
            until(gone(each), 60, bool)
        assert not local.held()
        until(lambda: local._held is not None and local._held[1].lost, 60, bool)
        with pytest.raises(HostError, match="deployment lock was lost"):
            local.require_lock()
    # The next request has a channel of its own.
    assert local.observe().held_by is None
    assert local.pid != pid


_COMMAND = """
import sys
from tests.adapters.test_channel import OWNER, Local
from pathlib import Path
local = Local(Path(sys.argv[1]))
with local.lock(OWNER):
    local.observe()
    print(local.pid, flush=True)
    local.complete(int(sys.argv[2]), {}, 600.0)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="the host's side needs root here")
def test_a_killed_command_leaves_no_lock_and_no_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as replica:
        argv = [sys.executable, "-c", _COMMAND, str(tmp_path), str(replica.getsockname()[1])]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as command:
            assert command.stdout is not None
            pid = int(command.stdout.readline())
            until(lambda: len(children(pid)), 60, lambda count: count == 2)
            left = [pid, *children(pid)]
            command.kill()
    began = time.monotonic()
    for each in left:
        until(gone(each), 35, bool)
    assert not deployment_lock_read(str(tmp_path))["held"]
    assert time.monotonic() - began < 35


def test_a_holder_that_hears_nothing_lets_go_while_the_channel_goes_on(tmp_path: Path) -> None:
    channel = HostChannel(lambda: Dialog([sys.executable, "-I", "-S", str(HOSTSIDE), "serve"]))
    lock, other = Dialog(channel.strand("lock")), Dialog(channel.strand("converse"))
    lock.send({"root": str(tmp_path), "owner": {"token": "a"}, "silence": 0.5})
    assert [*lock.events()] == [{"held": True}, {"result": {"held": True}}]
    assert not deployment_lock_read(str(tmp_path))["held"]
    other.send({"command": "observe", "root": str(tmp_path), "label": ""})
    (seen,) = other.answers()
    assert not seen["result"]["lock"]["held"]
    channel.end()
