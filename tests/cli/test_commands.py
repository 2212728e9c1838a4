"""Every command as a person types it: what is said where, and how the process ends."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from tests.planning.facts import release
from toolkit.adapters.history import History
from toolkit.cli import context
from toolkit.cli.main import COMMANDS, cli, main
from toolkit.config.lock_file import Lock, lock_path, write_lock
from toolkit.domain.release import Outcome
from toolkit.domain.snapshot import FileDigest, Snapshot
from toolkit.errors import (
    BusyError,
    HostError,
    IntegrityError,
    NothingSuitableError,
    RefusedError,
    ReleaseFailedError,
    SourceError,
    ToolkitError,
)

ROOT = Path(__file__).parents[2]
REVISION = "1" * 40
REGISTRY = f"""\
policy:
  licences: {{allowed: [mit]}}
models:
  tiny:
    description: a small one
    licence: mit
    openness: fully-open
    source: {{repo: acme/tiny}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 1GiB}}
    versions:
      v1: {{revision: {REVISION}}}
      bare: {{revision: {"2" * 40}}}
      huge:
        revision: {"3" * 40}
        resources: {{accelerators: [cuda], memory: 9000GiB}}
"""
FLEET = """\
all:
  hosts:
    localhost:
      ansible_connection: local
      toolkit_root: {root}
"""


@dataclass
class Said:
    code: int
    out: str
    err: str


class Shell:
    """Runs the command line with a registry, a home and a host root of its own: nothing of this machine's."""

    def __init__(
        self, place: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.place, self.capsys, self.patch = place, capsys, patch
        self.root = place / "root"
        self.registry = place / "model_registry.yaml"
        self.registry.write_text(REGISTRY)
        snapshot = Snapshot("acme/tiny", REVISION, (FileDigest("w.safetensors", 10, "a" * 64),))
        lock = Lock(lock_path(self.registry), {("acme/tiny", REVISION): snapshot})
        write_lock(lock)
        (place / "fleet.yaml").write_text(FLEET.format(root=self.root))
        self.environment = {
            "TOOLKIT_HOME": str(place / "home"),
            "TOOLKIT_FLEET": str(place / "fleet.yaml"),
            "TOOLKIT_REGISTRY": str(self.registry),
        }
        for name, value in self.environment.items():
            patch.setenv(name, value)
        patch.chdir(place)

    @property
    def history(self) -> History:
        return History(self.place / "home" / "history.db", time.time)

    def __call__(self, *words: str) -> Said:
        self.patch.setattr(sys, "argv", ["toolkit", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(int(str(ended.value.code)), said.out, said.err)

    def untouched(self) -> bool:
        """Whether the host still has nothing."""
        return not self.root.exists()


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    # Short: a root has at most 75 characters.
    place = Path(tempfile.mkdtemp(prefix="tkc-"))
    yield Shell(place, capsys, monkeypatch)
    shutil.rmtree(place)


def all_commands() -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group."""
    yield ()
    for name in COMMANDS:
        yield (name,)
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            yield from ((name, sub) for sub in command.commands)


@pytest.mark.parametrize("words", list(all_commands()), ids=" ".join)
def test_every_command_explains_itself(shell: Shell, words: tuple[str, ...]) -> None:
    long, short = shell(*words, "--help"), shell(*words, "-h")
    assert (long.code, long.err) == (0, "")
    assert long.out == short.out
    assert long.out.startswith(f"Usage: {' '.join(['toolkit', *words])} [OPTIONS]")
    # A sentence on what it does stands under the usage.
    assert re.fullmatch(r"  [A-Z].*[.)]", long.out.split("\n\n")[1], re.DOTALL)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_help_in_the_list_is_the_commands_own(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert COMMANDS[name][1] == command.get_short_help_str(200)


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["--nonsense"], "No such option '--nonsense'"),
        (["deploy"], "Missing argument 'MODEL[@VERSION]'."),
        (["deploy", "tiny", "extra"], "Got unexpected extra argument (extra)"),
        (["deploy", "tiny", "--bake", "soon"], "'soon' is not a valid float"),
        (["deploy", "tiny", "--bake", "-1"], "-1.0 is not in the range x>=0"),
        (["rollback", "tiny", "--to", "v1"], "'v1' is not a valid integer"),
        (["logs", "tiny", "--slot", "red"], "'red' is not one of 'blue', 'green'"),
        (["completion", "ksh"], "'ksh' is not one of 'bash', 'zsh', 'fish'"),
        (["releases", "tiny", "--limit", "0"], "0 is not in the range x>=1"),
        (["pull"], "name a MODEL[@VERSION], or --all for every version"),
    ],
)
def test_a_wrong_command_line_is_exit_2(shell: Shell, words: list[str], usage: str) -> None:
    said = shell(*words)
    assert (said.code, said.out) == (2, "")
    assert usage in said.err
    as_json = shell(*words, "--json")
    assert (as_json.code, as_json.err) == (2, "")
    assert json.loads(as_json.out)["error"]["kind"] == "bad-input"
    assert shell.untouched()


# words, exit code, kind, message, hint
REFUSALS: list[tuple[list[str], int, str, str, str]] = [
    (["releases", "nope"], 2, "bad-input", "nope has no releases in this history",
     "toolkit deploy nope"),
    (["rollback", "nope"], 2, "bad-input", "nope is not deployed here", "toolkit deploy nope"),
    (["rollback", "nope", "--to", "3"], 2, "bad-input", "nope has no release 3",
     "toolkit releases nope"),
    (["rollback", "nope", "--to", "0"], 2, "bad-input", "nope has no release 0",
     "toolkit releases nope"),
    (["logs", "nope"], 2, "bad-input", "nope has no replica on localhost", ""),
    (["stop", "nope", "--yes"], 2, "bad-input", "nope is not deployed on localhost",
     "toolkit status"),
    (["stop", "nope", "--dry-run"], 2, "bad-input", "nope is not deployed on localhost",
     "toolkit status"),
    (["deploy", "tinny"], 2, "bad-input", "no model 'tinny' in ", "did you mean tiny?"),
    (["deploy", "tiny@v2"], 2, "bad-input", "no version 'v2' of tiny", "did you mean v1?"),
    (["upgrade", "tiny", "--to", "v9"], 2, "bad-input", "no version 'v9' of tiny",
     "did you mean v1?"),
    (["upgrade", "tiny@v1"], 2, "bad-input", "upgrade takes a model, not 'tiny@v1'",
     "toolkit upgrade tiny --to v1"),
    (["upgrade", "tiny", "--to", "v1"], 2, "bad-input",
     "tiny is not deployed, so there is nothing to upgrade", "toolkit deploy tiny@v1"),
    (["deploy", "tiny@bare"], 2, "bad-input", "tiny@bare", "toolkit registry pin tiny"),
    (["deploy", "tiny@huge"], 3, "does-not-fit", "tiny@huge does not fit on localhost: it needs", ""),
    (["deploy", "tiny@v1"], 3, "refused", "not confirmed; nothing was changed",
     "add --yes to go ahead"),
    (["status", "--fleet", "none.yaml"], 2, "bad-input", "none.yaml", "name an inventory with --fleet"),
    (["deploy", "tiny", "--registry", "none.yaml"], 2, "bad-input", "none.yaml", ""),
    (["status", "--home", "model_registry.yaml"], 1, "failed", "history.db cannot be opened", ""),
    (["prune", "--registry", "none.yaml"], 2, "bad-input", "none.yaml", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "kind", "message", "hint"),
    REFUSALS,
    ids=[" ".join(case[0]) for case in REFUSALS],
)
def test_refusals(
    shell: Shell, words: list[str], code: int, kind: str, message: str, hint: str
) -> None:
    said = shell(*words)
    assert (said.code, said.out) == (code, "")
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in said.err
    assert hint in said.err

    as_json = shell(*words, "--json")
    error = json.loads(as_json.out)["error"]
    assert (as_json.code, error["exit_code"], error["kind"]) == (code, code, kind)
    assert message in error["message"]
    assert hint in error["hint"]
    assert shell.untouched()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ToolkitError("x"), 1),
        (RefusedError("x"), 3),
        (NothingSuitableError("x"), 3),
        (BusyError("x"), 4),
        (SourceError("x"), 5),
        (IntegrityError("x"), 6),
        (HostError("x"), 7),
        (ReleaseFailedError("x"), 8),
    ],
)
def test_every_class_of_error_has_its_exit_code(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, error: ToolkitError, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(context, "open_history", fail)
    error.hint = "toolkit doctor"
    assert shell("releases", "x") == Said(code, "", "error: x\nhint: toolkit doctor\n")


@pytest.mark.parametrize(
    "words",
    [["deploy", "tiny"], ["upgrade", "tiny"], ["pull", "tiny"], ["registry", "list"], ["prune"]],
    ids=" ".join,
)
def test_a_broken_registry_is_one_message_with_its_place(shell: Shell, words: list[str]) -> None:
    shell.registry.write_text(REGISTRY.replace("licence: mit", "licence: [mit"))
    said = shell(*words)
    assert (said.code, said.out) == (2, "")
    assert re.match(rf"error: {shell.registry}:\d+:\d+: ", said.err)
    assert shell.untouched()


def test_a_branch_for_a_revision_is_refused_with_the_command_that_pins_it(shell: Shell) -> None:
    shell.registry.write_text(REGISTRY.replace(REVISION, "main"))
    said = shell("deploy", "tiny")
    assert said.code == 2
    assert f"{shell.registry}:12:" in said.err
    assert "toolkit registry pin tiny main" in said.err


def test_an_empty_host(shell: Shell) -> None:
    assert shell("status") == Said(0, "nothing is deployed\n", "")
    assert shell("status", "tiny") == Said(0, "tiny is not deployed\n", "")
    seen = json.loads(shell("status", "--json").out)
    assert (seen["slots"], seen["held_by"], seen["unfinished"]) == ([], None, [])
    assert (seen["host"]["name"], seen["host"]["converged"]) == ("localhost", "")
    assert shell("verify") == Said(0, "no snapshots on the host or in the store\n", "")
    assert shell("prune").out == "nothing to remove: everything on the host is in use or recent\n"
    assert shell.untouched()


def test_a_dry_run_shows_the_plan_and_changes_nothing(shell: Shell) -> None:
    said = shell("deploy", "tiny@v1", "--dry-run")
    assert (said.code, said.out) == (0, "dry run: nothing was changed\n")
    lines = said.err.splitlines()
    assert lines[:2] == [
        "deploy tiny #1 (v1)",
        "  strategy side-by-side, expected downtime 0 s",
    ]
    kinds = [line.split()[1] for line in lines[2:]]
    wanted = [
        "provision",
        "fetch",
        "install-engine",
        "verify",
        "distribute",
        "start",
        "gate",
        "shift",
    ]
    assert kinds == wanted

    as_json = shell("deploy", "tiny@v1", "--dry-run", "--json")
    document = json.loads(as_json.out)
    assert (as_json.code, as_json.err, document["dry_run"]) == (0, "", True)
    assert [step["kind"] for step in document["plan"]["steps"]] == wanted
    assert shell.untouched()


def test_without_a_terminal_nobody_is_asked(shell: Shell) -> None:
    said = shell("deploy", "tiny@v1")
    assert said.code == 3
    assert "not a terminal, so nobody can be asked\n" in said.err
    history = shell.history
    assert history.deployments("tiny") == []
    history.close()


def test_the_doctor_looks_at_everything(shell: Shell) -> None:
    shell.registry.write_text("models: [")
    said = shell("doctor")
    found = json.loads(shell("doctor", "--json").out)
    levels = {each["subject"]: each["level"] for each in found}
    assert levels["ansible"] == levels["privileges"] == levels["host"] == "ok"
    assert levels["registry"] == levels["provisioning"] == levels["router"] == "warn"
    assert said.code == 0
    assert f"{shell.registry}:1:" in said.out
    assert "registry: toolkit registry check\n" in said.out


def test_the_doctor_names_a_host_that_does_not_answer(shell: Shell) -> None:
    fleet = shell.place / "fleet.yaml"
    fleet.write_text(fleet.read_text() + "      ansible_python_interpreter: /bin/false\n")
    said = shell("doctor")
    assert said.code == 7
    assert "of 5 checks failed" in said.err
    levels = {each["subject"]: each["level"] for each in json.loads(shell("doctor", "--json").out)}
    assert levels["host"] == "fail"


def test_the_doctor_names_a_history_that_cannot_be_opened(shell: Shell) -> None:
    (shell.place / "home").mkdir()
    (shell.place / "home" / "history.db").write_text("no history" * 500)
    said = shell("doctor")
    assert said.code == 7
    assert "history.db cannot be opened: file is not a database" in said.out


def test_releases_tell_each_deployment_and_its_reason(shell: Shell) -> None:
    history = shell.history
    history.add_release(release(1))
    done = history.open_deployment(
        model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="ann@ops"
    )
    history.end_deployment(done, Outcome.FAILED, "it did not start\n  its log says: no")
    history.close()
    said = shell("releases", "tiny")
    assert said.code == 0
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[1][:3] == ["#1", "v1", "0" * 12]
    assert rows[4][:4] == ["1", "deploy", "#1", "failed"]
    assert rows[4][-5:] == ["ann@ops", "it", "did", "not", "start"]
    document = json.loads(shell("releases", "tiny", "--json").out)
    assert document["releases"][0]["number"] == 1
    assert document["deployments"][0]["reason"] == "it did not start\n  its log says: no"


def test_releases_name_the_host_of_each_deployment_once_one_has_a_name(shell: Shell) -> None:
    history = shell.history
    history.add_release(release(1))
    for host in ("", "gpu-1"):
        history.open_deployment(
            model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="ann@ops",
            host=host,
        )  # fmt: skip
    history.close()
    rows = [line.split() for line in shell("releases", "tiny").out.splitlines()]
    assert [row[:3] for row in rows[3:]] == [
        ["DEPLOYMENT", "HOST", "ACTION"],
        ["2", "gpu-1", "deploy"],
        ["1", "-", "deploy"],
    ]
    document = json.loads(shell("releases", "tiny", "--json").out)
    assert [each["host"] for each in document["deployments"]] == ["gpu-1", ""]


def test_status_names_what_was_cut_short(shell: Shell) -> None:
    history = shell.history
    history.open_deployment(
        model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="ann@ops"
    )
    history.close()
    assert shell("status").out.splitlines()[-1] == (
        "unfinished: deployment 1, deploy tiny by ann@ops; it was cut short: the next deploy, "
        "upgrade, rollback or stop ends it"
    )


# as a process of its own


def start(shell: Shell, *words: str, **more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "toolkit.cli.main", *words]
    environment = {**os.environ, **shell.environment, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, text=True, **more)  # type: ignore[call-overload,no-any-return]


def test_there_is_no_colour_in_a_pipe(shell: Shell) -> None:
    child = start(shell, "registry", "list", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (0, "")
    assert out.startswith("MODEL")
    assert "\x1b" not in out


def test_a_reader_that_leaves_early_is_no_error(shell: Shell) -> None:
    there, here = os.pipe()
    os.close(there)
    child = start(shell, "registry", "list", stdout=here, stderr=subprocess.PIPE)
    os.close(here)
    _, err = child.communicate(timeout=30)
    assert err == ""
    assert child.returncode == 1


@dataclass
class Terminal:
    """The command line on a terminal of its own, waiting at its prompt; `fd` is the person's end."""

    child: subprocess.Popen[str]
    fd: int

    def read_until(self, words: str, *, press: str = "", seconds: float = 30) -> str:
        """Return what was shown up to `words`; presses a key, and again for as long as nothing happens.

        Python may miss a signal that comes just before it waits for input; so a person presses twice.
        """
        said, end, pressed = "", time.monotonic() + seconds, 0.0
        while words not in said:
            assert time.monotonic() < end, said
            if press and time.monotonic() - pressed > 2:
                os.write(self.fd, press.encode())
                pressed = time.monotonic()
            if select.select([self.fd], [], [], 0.2)[0]:
                said += os.read(self.fd, 4096).decode()
        return said


@pytest.fixture
def terminal(shell: Shell) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    child = start(
        shell, "deploy", "tiny@v1", stdin=theirs, stdout=theirs, stderr=theirs,
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
    assert terminal.child.wait(timeout=20) == code
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


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: Shell, name: str, tmp_path: Path) -> None:
    said = shell("completion", name)
    assert said.code == 0
    assert "_TOOLKIT_COMPLETE" in said.out
    if name == "bash":
        done = subprocess.run(["bash", "-n"], input=said.out, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("toolkit de", ["deploy"]),
        ("toolkit re", ["releases", "registry"]),
        ("toolkit registry p", ["pin"]),
        ("toolkit deploy tiny --dry", ["--dry-run"]),
        ("toolkit logs tiny --slot g", ["green"]),
    ],
)
def test_completion_offers_what_there_is(shell: Shell, typed: str, offered: list[str]) -> None:
    words = {"_TOOLKIT_COMPLETE": "bash_complete", "COMP_WORDS": typed}
    shell.environment.update(words, COMP_CWORD=str(len(typed.split()) - 1))
    child = start(shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate(timeout=30)
    assert err == ""
    assert [line.partition(",")[2] for line in out.splitlines()] == offered


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
