"""A client of a host: one process for brief requests, one for each other command, and what ends them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.adapters.capacity import width
from toolkit.adapters.hosts import conversation
from toolkit.adapters.hosts.client import Clients, HostClient
from toolkit.adapters.hosts.host import RealHost
from toolkit.adapters.hosts.ssh import HOSTSIDE
from toolkit.adapters.hosts.ways import Here
from toolkit.adapters.interruption import Interruption
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.hosts.in_flight import ASKING
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import BusyError, HostError, InputError

# A program in place of the host's side, with the channel of the real one: `run` has the commands.
SERVING = f"""
import json, os, sys, time
sys.path.append({str(HOSTSIDE)!r})
def serve(run):
    import channel
    if sys.argv[1] == "serve":
        channel.serve(run)
    sys.exit(run(sys.argv[1]))
"""
# Answers with its pid; `seconds` delays the answer, `words` are said instead of one.
ANSWERS = """
def answer(request):
    print(json.dumps({"event": {"begun": True}}), flush=True)
    time.sleep(request.get("seconds", 0))
    if "words" in request:
        sys.exit(request["words"])
    key = "error" if "error" in request else "result"
    print(json.dumps({key: request.get("error", {"pid": os.getpid()})}), flush=True)
def run(name):
    for line in sys.stdin if name == "converse" else [sys.stdin.readline()]:
        answer(json.loads(line))
    return 0
serve(run)
"""


class Client(HostClient):
    """A client of this machine with ANSWERS; `interruption` is that of its command."""

    def __init__(self, directory: Path) -> None:
        (directory / "__main__.py").write_text(SERVING + ANSWERS)
        self.interruption = Interruption()
        super().__init__(Here(Host("gpu1"), str(directory)), self.interruption)

    def pid(self, name: str) -> int:
        return int(self.ask(name)["pid"])


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    made = Client(tmp_path)
    yield made
    made.end()


def test_brief_requests_share_a_process_and_other_commands_have_their_own(client: Client) -> None:
    shared = {client.pid(name) for name in ("observe", "complete", "apply-routes", "observe")}
    others = {client.pid(name) for name in ("drain", "drain", "keys")}
    assert (len(shared), len(others), shared & others) == (1, 3, set())


def test_a_client_that_connects_ahead_answers_and_fails_like_any_other(client: Client) -> None:
    client.connect()
    assert client.pid("observe")
    client._conversation.end()
    client.connect()
    with pytest.raises(HostError, match=r"^gpu1: not a sudoer$"):
        client.ask("observe", words="not a sudoer")


def test_a_client_that_connects_observes_the_host_for_the_first_one_who_asks(
    tmp_path: Path, client: Client
) -> None:
    (tmp_path / "__main__.py").write_text(
        f"{SERVING}def run(name):\n    for number, line in enumerate(sys.stdin):\n"
        '        print(json.dumps({"result": {"number": number, "asked": json.loads(line)}}), flush=True)\n'
        "serve(run)\n"
    )
    client.connect()
    wanted = {"command": "observe", "root": client.host.root, "label": client.host.label}
    for number in range(2):
        answer: object = client.ask("observe", label=client.host.label)
        assert answer == {"number": number, "asked": wanted}


def test_only_so_many_clients_connect_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(HostClient, "connect", lambda each: asked.append(each.host.name))
    most = width(ASKING)
    hosts = [Host(f"gpu{number}", connection="local") for number in range(most + 5)]
    Clients(tmp_path).connect(hosts)
    assert asked == [each.name for each in hosts[:most]]


# Ends once all three have been told to end.
LAST = """
import pathlib
def run(name):
    here = pathlib.Path(__file__)
    for line in sys.stdin:
        print('{"result": {}}', flush=True)
    here.with_suffix(".told").touch()
    while not all(each.with_suffix(".told").exists() for each in here.parent.parent.glob("*/__main__.py")):
        time.sleep(0.01)
    here.with_suffix(".ended").touch()
serve(run)
"""


def test_clients_end_together_and_not_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(conversation, "_END_SECONDS", 20)
    clients, places = Clients(tmp_path), [tmp_path / name for name in ("gpu1", "gpu2", "gpu3")]
    for place in places:
        place.mkdir()
        clients._clients[place.name] = Client(place)
        (place / "__main__.py").write_text(SERVING + LAST)
        assert clients._clients[place.name].ask("observe") == {}
    clients.end()
    assert all((place / "__main__.ended").exists() for place in places)


def test_an_error_names_the_host_and_the_command(client: Client) -> None:
    for name in ("observe", "drain"):
        with pytest.raises(HostError, match=rf"^gpu1: {name}: no such slot$"):
            client.ask(name, error="no such slot")


def test_a_process_without_an_answer_is_an_error_with_its_last_words(client: Client) -> None:
    for name in ("observe", "drain"):
        with pytest.raises(HostError, match=r"^gpu1: not a sudoer$"):
            client.ask(name, words="a banner\nnot a sudoer")


@pytest.mark.parametrize("name", ["complete", "drain"])
def test_an_interruption_ends_a_command_that_runs(client: Client, name: str) -> None:
    begun = threading.Event()
    threading.Thread(target=lambda: begun.wait(20) and client.interruption.begin()).start()
    with pytest.raises(HostError, match=r"^interrupted$"):
        client.ask(name, lambda _: begun.set(), seconds=60)


@pytest.mark.parametrize("name", ["apply-routes", "apply-keys"])
def test_an_interruption_lets_a_change_end(client: Client, name: str) -> None:
    begun = client.interruption.begin
    assert client.ask(name, lambda _: begun(), seconds=0.2)["pid"]


def test_a_lock_is_held_through_an_interruption(client: Client) -> None:
    with client.open("lock") as dialog:
        client.interruption.begin()
        assert len(list(dialog.events())) == 2


def test_nothing_starts_once_an_interruption_has_begun(client: Client) -> None:
    client.interruption.begin()
    for name in ("observe", "drain"):
        with pytest.raises(HostError, match=r"^interrupted$"):
            client.ask(name)
    client.interruption.over()
    assert client.pid("observe")


def test_a_machine_under_two_names_is_told_from_one_that_another_command_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    one, two = (
        RealHost(HostClient(Here(Host(name, root=str(tmp_path)), str(HOSTSIDE)), Interruption()))
        for name in ("gpu1", "twin")
    )
    me, other = LockOwner("ann@ops", "toolkit deploy", 7), LockOwner("bob@ops", "toolkit stop", 8)
    with one.lock(me):
        with pytest.raises(InputError, match="twin is the machine of another host"), two.lock(me):
            pass
        with pytest.raises(BusyError, match="twin is held by ann@ops"), two.lock(other):
            pass
    with two.lock(me):
        pass
