"""The command line as a process: pipes, terminals, signals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import ROOT, Shell, start


def test_there_is_no_colour_in_a_pipe(shell: Shell) -> None:
    child = start(
        shell.environment, "registry", "list", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert out.startswith("MODEL")
    assert "\x1b" not in out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_documents_are_whole_in_a_locale_of_few_characters(shell: Shell, encoding: str) -> None:
    words = "Caf\u00e9 \u201etiny\u201c \U0001f600"
    text = shell.registry.read_text().replace("a small one", words)
    shell.registry.write_text(text, "utf-8")
    shell.environment["PYTHONIOENCODING"] = encoding

    def said(*words: str) -> Any:
        pipe = subprocess.PIPE
        child = start(shell.environment, *words, stdout=pipe, stderr=pipe, encoding="utf-8")
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        return json.loads(out)

    assert said("registry", "show", "tiny", "--json")["description"] == words
    assert said("bom", "tiny@v1")["bomFormat"] == "CycloneDX"


def test_a_reader_that_leaves_early_is_no_error(shell: Shell) -> None:
    there, here = os.pipe()
    os.close(there)
    child = start(shell.environment, "registry", "list", stdout=here, stderr=subprocess.PIPE)
    os.close(here)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")


def test_a_result_that_a_full_disk_does_not_take_is_an_error(shell: Shell) -> None:
    with Path("/dev/full").open("w") as full:
        child = start(shell.environment, "registry", "list", stdout=full, stderr=subprocess.PIPE)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert err == (
        "error: the result could not be written to standard output: No space left on device\n"
    )


# Prints at length as a change does, in a thread too; its last word goes to a file.
_CHANGE = """
import sys, threading, click
from pathlib import Path
from toolkit.cli.terminal.output import note, print_json, say
from toolkit.cli.terminal import streams
streams.guard()
def work():
    for _ in range(5000):
        note("progress \N{GREEK SMALL LETTER ALPHA} of a change")
        say("a line of the result")
try:
    thread = threading.Thread(target=work)
    thread.start()
    work()
    thread.join()
    print_json({"changed": True})
    sys.stdout.flush()
    Path(sys.argv[1]).write_text("done")
    if len(sys.argv) > 2:
        print("waiting", flush=True)
        threading.Event().wait(30)
except KeyboardInterrupt:
    import time
    # A shell repeats the signal while the change is undone.
    time.sleep(0.5)
    Path(sys.argv[1]).write_text("undone")
"""


@pytest.mark.parametrize("way", ["closed pipe", "full disk", "closed", "terminal that is gone"])
def test_output_never_ends_a_change(tmp_path: Path, way: str) -> None:
    done = tmp_path / "done"
    command = [sys.executable, "-c", _CHANGE, str(done)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    if way == "closed":
        shell = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
        assert subprocess.run(shell, env=environment, check=False, timeout=60).returncode == 0
    else:
        there, here = pty.openpty() if way.startswith("terminal") else os.pipe()
        os.close(there)
        if way == "full disk":
            os.close(here)
            here = os.open("/dev/full", os.O_WRONLY)
        child = subprocess.run(
            command, stdout=here, stderr=here, env=environment, check=False, timeout=60
        )
        os.close(here)
        assert child.returncode == 0
    assert done.read_text() == "done"


def test_a_hang_up_is_undone_however_often_it_comes(tmp_path: Path) -> None:
    done = tmp_path / "done"
    # Whoever runs the tests may ignore the signal, and children inherit that.
    plain = ["env", "--default-signal=HUP", sys.executable]
    with subprocess.Popen(
        [*plain, "-c", _CHANGE, str(done), "wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        while child.stdout.readline() != "waiting\n":
            pass
        child.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        child.send_signal(signal.SIGHUP)
        child.communicate(timeout=60)
    assert done.read_text() == "undone"


def test_a_command_that_nohup_starts_outlives_its_terminal(tmp_path: Path) -> None:
    done = tmp_path / "done"
    words = [
        "sh",
        "-c",
        "trap '' HUP; exec \"$@\"",
        "sh",
        sys.executable,
        "-c",
        _CHANGE,
        str(done),
        "wait",
    ]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        while child.stdout.readline() != "waiting\n":
            pass
        child.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.kill()
    assert done.read_text() == "done"


@dataclass
class Terminal:
    """The command line on a terminal of its own, waiting at its prompt; `fd` is the person's end."""

    child: subprocess.Popen[str]
    fd: int

    def read_until(self, words: str, *, press: str = "", seconds: float = 60) -> str:
        """Return what was shown up to `words`; presses a key, and again for as long as nothing happens.

        Python may miss a signal that comes just before it waits for input; so a person presses twice.
        """
        said, end, pressed = "", time.monotonic() + seconds, 0.0
        while words not in said:
            assert time.monotonic() < end, said
            if press and time.monotonic() - pressed > 5:
                os.write(self.fd, press.encode())
                pressed = time.monotonic()
            if select.select([self.fd], [], [], 0.2)[0]:
                said += os.read(self.fd, 4096).decode()
        return said


@pytest.fixture
def terminal(shell: Shell) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    child = start(
        shell.environment, "deploy", "tiny@v1", stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=_take_terminal,
    )  # fmt: skip
    os.close(theirs)
    try:
        found = Terminal(child, ours)
        found.read_until("go ahead? [y/N]")
        yield found
    finally:
        child.kill()
        child.wait()
        os.close(ours)


@pytest.mark.parametrize(
    ("key", "code", "words"),
    [("\x03", 130, "interrupted"), ("\x04", 130, "interrupted"), ("n\n", 3, "not confirmed")],
)
def test_the_answer_at_the_prompt(
    shell: Shell, terminal: Terminal, key: str, code: int, words: str
) -> None:
    """Ctrl-C, Ctrl-D and no: nothing was changed by any of them."""
    said = terminal.read_until(words, press=key)
    assert terminal.child.wait(timeout=60) == code
    assert "Traceback" not in said
    assert shell.untouched()
    history = shell.history
    assert history.deployments("tiny") == []
    history.close()


def test_a_request_to_end_is_an_interruption(terminal: Terminal) -> None:
    for _ in range(5):
        terminal.child.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            terminal.child.wait(timeout=5)
            break
    assert terminal.child.returncode == 130
    assert "interrupted" in terminal.read_until("interrupted")


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_ctrl_c_before_the_command_listens_for_it_leaves_no_traceback(
    shell: Shell, tmp_path: Path
) -> None:
    """While modules load, nothing of the program is there yet to say it."""
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    path = f"{tmp_path}:{shell.environment.get('PYTHONPATH', ROOT)}"
    pipe = subprocess.PIPE
    child = start({**shell.environment, "PYTHONPATH": path}, "status", stdout=pipe, stderr=pipe)
    out, err = child.communicate(timeout=60)
    # A shell has 130 for this.
    assert (child.returncode, out, err) == (-signal.SIGINT, "", "interrupted\n")


# Ends well, with a connection that takes a moment to end.
_ENDS = """
import atexit, time
from toolkit.cli import main

def end():
    print("ending", flush=True)
    time.sleep(0.5)

def command(**_):
    atexit.register(end)

main.cli.main = command
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_after_the_end_of_a_command_changes_nothing(number: signal.Signals) -> None:
    # Whoever runs the tests may ignore the signals, and children inherit that.
    plain = ["env", "--default-signal=HUP,INT,TERM", sys.executable]
    pipe = subprocess.PIPE
    with subprocess.Popen([*plain, "-c", _ENDS], stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdout and child.stdout.readline() == "ending\n"
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
