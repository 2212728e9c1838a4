"""Playbooks through the real Ansible: whose words an error has, what is left behind, who ends with whom."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from toolkit.adapters.ansible import converge
from toolkit.adapters.ansible.converge import RealConverge
from toolkit.adapters.disk import DiskRoom
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.secret import Secret
from toolkit.errors import HostError

ROOT = Path(__file__).parents[2]
SECRET = "hf_canaryCANARYcanary"
HEAD = "- name: Play\n  hosts: all\n  become: false\n  gather_facts: false\n  tasks:\n"
WELL = """\
    - name: Change something
      ansible.builtin.copy:
        content: "{{ word }}"
        dest: "{{ place }}/made"
        mode: "0600"
    - name: Fail and go on
      ansible.builtin.command: "false"
      ignore_errors: true
      changed_when: false
    - name: Try and mend
      block:
        - name: Try
          ansible.builtin.command: cat /no/such/file
          changed_when: false
      rescue:
        - name: Mend
          ansible.builtin.command: "true"
          changed_when: false
    - name: Look at the environment
      ansible.builtin.command: env
      register: seen
      changed_when: false
    - name: Keep what was seen
      ansible.builtin.copy:
        content: "{{ seen.stdout }}"
        dest: "{{ place }}/environment"
        mode: "0600"
"""
BAD = """\
    - name: Ask for the impossible
      ansible.builtin.command: cat /no/such/file
      changed_when: false
    - name: Never get here
      ansible.builtin.fail:
        msg: "too far"
"""
WAITS = """\
    - name: Wait
      ansible.builtin.command: sleep 600.25
      changed_when: false
"""


@dataclass
class Lab:
    """A directory of playbooks, a scratch directory, and a host that is this machine."""

    place: Path
    modules: Path
    said: list[str] = field(default_factory=list)

    @property
    def scratch(self) -> Path:
        return self.place / "run"

    def __post_init__(self) -> None:
        books = self.place / "playbooks"
        books.mkdir()
        for name, tasks in {"well": WELL, "bad": BAD, "waits": WAITS}.items():
            (books / f"{name}.yml").write_text(HEAD + tasks)
        nobody = (HEAD + BAD).replace("hosts: all", "hosts: nobody")
        (books / "nobody.yml").write_text(nobody)
        self.host = Host("localhost", python=sys.executable)
        self.converge = RealConverge(books, self.scratch, modules=self.modules)

    def run(self, playbook: str, progress: Callable[[str], None] | None = None) -> tuple[str, ...]:
        variables = {"place": str(self.place), "word": "hello"}
        return self.converge.run(playbook, self.host, variables, progress or self.said.append)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where built modules are kept for all tests, as in a home: building them takes most of a run's work."""
    return tmp_path_factory.mktemp("modules") / "kept"


@pytest.fixture
def lab(modules: Path) -> Iterator[Lab]:
    # Short: Ansible puts sockets below it.
    place = Path(tempfile.mkdtemp(prefix="tka-"))
    yield Lab(place, modules)
    shutil.rmtree(place)


def test_a_playbook_tells_its_tasks_and_what_it_changed_and_sees_no_token(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "MY_PASSWORD",
        "TOOLKIT_HISTORY",
        "PGPASSWORD",
    ):
        monkeypatch.setenv(name, SECRET)
    # Ansible runs in a UTF-8 locale alone.
    monkeypatch.setenv("LC_ALL", "POSIX")
    watch = Watch(lab)

    changed = lab.run("well", watch)

    assert changed == ("Change something", "Keep what was seen")
    # Those that find nothing to do are told where they take long, as on a busy machine.
    told = [each for each in watch.said if each not in ("Mend", "Look at the environment")]
    assert told == ["Change something", "Fail and go on", "Try", "Keep what was seen"]
    assert (lab.place / "made").read_text() == "hello"
    # The watch must have seen what it is to search: files, and the processes of Ansible.
    assert "toolkit.adapters.ansible.standing_process" in watch.programs
    assert watch.files > 3
    assert watch.leaks == []
    environment = (lab.place / "environment").read_text()
    assert "PATH=" in environment
    assert SECRET not in environment
    assert list(lab.scratch.iterdir()) == []


def test_a_playbook_with_a_password_for_sudo_shows_it_nowhere(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.host = replace(lab.host, become_password=Secret(SECRET))
    watch = Watch(lab)
    assert lab.run("well", watch) == ("Change something", "Keep what was seen")
    assert watch.files > 3 and watch.leaks == []
    assert SECRET not in (lab.place / "environment").read_text()
    assert list(lab.scratch.iterdir()) == []


def test_the_operators_own_settings_of_ansible_do_not_reach_a_playbook(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ansible would ask for passwords at a terminal that nobody sees.
    lab.place.joinpath(".ansible.cfg").write_text(
        "[privilege_escalation]\nbecome_ask_pass = True\n[defaults]\nask_vault_pass = True\n"
    )
    monkeypatch.setenv("HOME", str(lab.place))
    assert lab.run("well") == ("Change something", "Keep what was seen")


def test_a_failed_task_is_told_in_its_own_words(lab: Lab) -> None:
    with pytest.raises(HostError) as caught:
        lab.run("bad")
    assert caught.value.message.startswith("localhost: bad: Ask for the impossible: ")
    assert caught.value.message.endswith("cat: /no/such/file: No such file or directory")
    assert lab.said == ["Ask for the impossible"]
    assert list(lab.scratch.iterdir()) == []


def test_a_playbook_that_matches_no_host_is_no_success(lab: Lab) -> None:
    with pytest.raises(HostError, match="localhost: nobody: Ansible did not process the host"):
        lab.run("nobody")


def test_a_playbook_that_is_not_there_is_named(lab: Lab) -> None:
    with pytest.raises(HostError, match=r"localhost: absent: .*absent\.yml"):
        lab.run("absent")


def test_all_runs_share_one_process_that_ends_with_their_owner(lab: Lab) -> None:
    lab.run("well")
    (process,) = processes_about(lab.scratch)
    assert argv(process)[1:4] == ["-P", "-m", "toolkit.adapters.ansible.standing_process"]
    with pytest.raises(HostError, match="Ask for the impossible"):
        lab.run("bad")
    assert processes_about(lab.scratch) == [process]
    del lab.converge
    assert processes_about(lab.scratch) == []


def test_a_command_that_runs_no_playbook_after_all_leaves_nothing(lab: Lab) -> None:
    lab.converge.prepare()
    # The kernel shows no arguments of a process for a moment after its start has been reported.
    until(lambda: len(processes_about(lab.scratch)) == 1, 60)
    del lab.converge
    assert processes_about(lab.scratch) == []
    assert list(lab.scratch.iterdir()) == []


def test_a_run_after_the_process_was_killed_has_a_new_one(lab: Lab) -> None:
    assert len(lab.run("well")) == 2
    (process,) = processes_about(lab.scratch)
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    # The environment that is kept names a directory of the run.
    assert lab.run("well") == ("Keep what was seen",)
    assert processes_about(lab.scratch) != [process]


def test_runs_at_the_same_time_do_not_meet(lab: Lab) -> None:
    with ThreadPoolExecutor() as threads:
        well, bad = (threads.submit(lab.run, name, lambda _: None) for name in ("well", "bad"))
        assert well.result() == ("Change something", "Keep what was seen")
        assert isinstance(bad.exception(), HostError)
    assert list(lab.scratch.iterdir()) == []


def test_an_ansible_that_does_not_load_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(HostError, match="localhost: well: it ended without a word"):
        lab.run("well")
    del lab.converge
    assert list(lab.scratch.iterdir()) == []


def test_an_ansible_for_which_the_disk_has_no_room_is_told(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr(converge, "room", lambda _: DiskRoom(0, None))
    with pytest.raises(HostError, match="is full: it ended without a word") as caught:
        lab.run("well")
    assert caught.value.hint == "toolkit prune"


KILLED = """
import sys
from pathlib import Path
from toolkit.adapters.ansible import signs
from toolkit.adapters.ansible.converge import RealConverge
from toolkit.domain.hosts.fleet import Host
place = Path(sys.argv[1])
signs.SILENCE_SECONDS = float(sys.argv[2])
RealConverge(place / "playbooks", place / "run").run(
    "waits", Host("localhost", python=sys.executable), {}, lambda task: print(task, flush=True)
)
"""


def test_a_playbook_ends_with_the_command_that_was_killed(lab: Lab) -> None:
    temporary = lab.place / "temporary"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(lab.place), "600"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "Wait\n"
        # What the module runs, which would go on for ten minutes.
        until(lambda: ["sleep", "600.25", ""] in map(argv, processes_about(lab.scratch)), 60)
        command.send_signal(signal.SIGKILL)
        until(lambda: not processes_about(lab.scratch), 60)
    assert command.returncode == -signal.SIGKILL
    until(lambda: list(lab.scratch.iterdir()) == [], 60)
    # Nor does the module, which unpacked itself, leave anything on this host.
    assert list(temporary.iterdir()) == []


def test_a_playbook_ends_where_its_command_was_stopped(lab: Lab) -> None:
    """As by Ctrl-Z: the host's lock goes to others, and the run is a process of its own that goes on."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(lab.place), "10"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None and command.stderr is not None
        assert command.stdout.readline() == "Wait\n"
        until(lambda: ["sleep", "600.25", ""] in map(argv, processes_about(lab.scratch)), 60)
        command.send_signal(signal.SIGSTOP)
        until(lambda: ["sleep", "600.25", ""] not in map(argv, processes_about(lab.scratch)), 60)
        command.send_signal(signal.SIGCONT)
        words = command.stderr.read()
    assert "HostError: localhost: waits: its command was stopped for 1" in words
    assert command.returncode == 1


def test_a_playbook_ends_with_the_lock_of_its_host(lab: Lab) -> None:
    lost = threading.Event()

    def require() -> None:
        if lost.is_set():
            raise HostError("the lock was lost")

    def progress(task: str) -> None:
        lost.set()

    with pytest.raises(HostError, match=r"^the lock was lost$"):
        lab.converge.run("waits", lab.host, {}, progress, require)
    assert ["sleep", "600.25", ""] not in map(argv, processes_about(lab.scratch))
    # Nor does another one begin.
    with pytest.raises(HostError, match=r"^the lock was lost$"):
        lab.converge.run("well", lab.host, {"place": str(lab.place)}, lab.said.append, require)
    assert not (lab.place / "made").exists()


class Watch:
    """Progress of a playbook; at every task, all that lies open to others is searched for the secret."""

    def __init__(self, lab: Lab) -> None:
        self._scratch, self._modules = lab.scratch, lab.modules
        self.said: list[str] = []
        self.programs: set[str] = set()
        self.leaks: list[str] = []
        self.files = 0

    def __call__(self, task: str) -> None:
        self.said.append(task)
        # Unlike rglob, walk passes over directories that Ansible removes meanwhile.
        for directory, _, names in (*os.walk(self._scratch), *os.walk(self._modules)):
            for file in (Path(directory, name) for name in names):
                if file.is_file():
                    self.files += self._scratch in file.parents
                    self._search(str(file), file)
        for pid in processes_about(self._scratch):
            words = argv(pid)
            self.programs.update(words[:4])
            for name in ("environ", "cmdline"):
                self._search(f"{name} of {words}", Path(f"/proc/{pid}/{name}"))

    def _search(self, what: str, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError:
            return
        if SECRET.encode() in content:
            self.leaks.append(what)


def processes_about(scratch: Path) -> list[int]:
    """Return the processes whose arguments or environment name `scratch`; never this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            content = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(scratch).encode() in content:
            found.append(int(entry.name))
    return found


def argv(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
