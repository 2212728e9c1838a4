"""What commands tell of the history, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from subprocess import PIPE

import pytest

from tests.adapters.history_lab import begin
from tests.adapters.postgres_lab import IN_URL, PASSWORD, PostgresLab
from tests.cli.shell import Shell, start
from tests.planning.facts import release
from toolkit.adapters.history.database import read_address
from toolkit.adapters.history.history import History
from toolkit.domain.deployment.release import Attempt, Outcome
from toolkit.domain.gates.verdict import Figure, GateRecord, GateResult, Verdict


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, shell: Shell) -> Shell:
    """Commands that find an empty history of this kind."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
        shell.environment["TOOLKIT_HISTORY"] = url
        shell.patch.setenv("TOOLKIT_HISTORY", url)
    return shell


def test_releases_tell_each_deployment_and_its_reason(either: Shell) -> None:
    history = either.history
    history.add_release(release(1))
    done = history.open_deployment(
        Attempt(
            model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="ann@ops"
        )
    )
    history.end_deployment(done, Outcome.FAILED, "it did not start\n  its log says: no")
    history.close()
    said = either("releases", "tiny")
    assert said.code == 0
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[1][:3] == ["#1", "v1", "0" * 12]
    assert rows[4][:4] == ["1", "deploy", "#1", "failed"]
    assert rows[4][-5:] == ["ann@ops", "it", "did", "not", "start"]
    document = json.loads(either("releases", "tiny", "--json").out)
    assert document["releases"][0]["number"] == 1
    assert document["deployments"][0]["reason"] == "it did not start\n  its log says: no"


def test_a_deployment_whose_clock_was_set_back_took_no_known_time(shell: Shell) -> None:
    history = History(shell.place / "home/history.db", iter([2000.0, 2000.0, 1000.0]).__next__)
    history.add_release(release(1))
    history.end_deployment(begin(history, 1), Outcome.LIVE)
    history.close()
    row = shell("releases", "tiny").out.splitlines()[-1].split()
    assert row[-2:] == ["-", "ann@ops"]
    assert (
        shell("report", "--since", "1970-01-01", "--output", str(shell.place / "r.html")).code == 0
    )
    assert "after -" not in (shell.place / "r.html").read_text()


def test_releases_tell_what_each_gate_found(either: Shell) -> None:
    history = either.history
    for number in (1, 2):
        history.add_release(release(number))
    figures = (
        Figure("first token", 412.5, 98, "ms"),
        Figure("requests", 12_000),
        Figure("growth", None),
    )
    slow = GateResult("bake", Verdict.FAILED, "4.2 times as slow", figures)
    history.add_gate(
        GateRecord("tiny", 1, "gpu-1", "r", 5.0, GateResult("answers", Verdict.PASSED))
    )
    history.add_gate(GateRecord("tiny", 2, "gpu-1", "r", 6.0, slow))
    history.close()
    plain = [line.split()[-1] for line in either("releases", "tiny").out.splitlines()[:3]]
    assert (plain[0], plain[1]) == ("FAILED", "bake")
    said = either("releases", "tiny", "--gates").out.splitlines()
    assert said[4].startswith("#2 bake failed on gpu-1, ")
    assert said[4].endswith(": 4.2 times as slow")
    assert said[5:8] == [
        "    first token: 412.5 ms, 98 ms before",
        "    requests: 12,000",
        "    growth: -",
    ]
    assert said[8].startswith("#1 answers passed on gpu-1, ")
    (first, second) = json.loads(either("releases", "tiny", "--json").out)["gates"]
    assert (first["verdict"], second["verdict"]) == ("failed", "passed")
    assert first["figures"][0] == {"name": "first token", "new": 412.5, "old": 98, "unit": "ms"}


def test_releases_name_the_host_of_each_deployment_once_one_has_a_name(either: Shell) -> None:
    history = either.history
    history.add_release(release(1))
    for host in ("", "gpu-1"):
        history.open_deployment(Attempt(
            model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="ann@ops",
            host=host,
        ))  # fmt: skip
    history.close()
    rows = [line.split() for line in either("releases", "tiny").out.splitlines()]
    assert [row[:3] for row in rows[3:]] == [
        ["DEPLOYMENT", "HOST", "ACTION"],
        ["2", "gpu-1", "deploy"],
        ["1", "-", "deploy"],
    ]
    document = json.loads(either("releases", "tiny", "--json").out)
    assert [each["host"] for each in document["deployments"]] == ["gpu-1", ""]


def test_status_names_what_was_cut_short(either: Shell) -> None:
    history = either.history
    history.open_deployment(
        Attempt(
            model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="ann@ops"
        )
    )
    history.close()
    assert either("status").out.splitlines()[-1] == (
        "unfinished: deployment 1, deploy tiny by ann@ops; it was cut short: the next deploy, "
        "upgrade, rollback or stop ends it"
    )


def test_the_doctor_says_which_history_answers(either: Shell) -> None:
    history = either.history
    name = history.name
    history.close()
    found = json.loads(either("doctor", "--json").out)["findings"]
    assert [(each["level"], each["words"]) for each in found if each["subject"] == "history"] == [
        ("ok", f"answers: {name}")
    ]
    assert ("postgresql://ops@127.0.0.1" in name) == ("TOOLKIT_HISTORY" in either.environment)


@pytest.mark.parametrize("options", [(), ("--debug",)])
def test_no_command_shows_the_password(
    shell: Shell, postgres: PostgresLab, options: tuple[str, ...]
) -> None:
    """The server does not let this role in; the doctor, and a traceback, say who knocked where."""
    url = postgres.new_database().replace("ops:", "eve:")
    shell.environment["TOOLKIT_HISTORY"] = url
    told = ""
    for words in (("doctor",), ("status",), ("releases", "tiny")):
        child = start(shell.environment, *options, *words, stdout=PIPE, stderr=PIPE)
        out, err = child.communicate(timeout=60)
        # What runs on the hosts is no matter of the history.
        assert bool(child.returncode) == (words != ("status",))
        assert f"the history {read_address(url).name} cannot be opened: " in out + err
        assert ("Traceback" in err) == (bool(options) and words != ("status",))
        told += out + err
    assert PASSWORD not in told
    assert IN_URL not in told


def test_status_tells_what_runs_where_the_history_is_damaged(shell: Shell) -> None:
    home = shell.place / "home"
    home.mkdir(exist_ok=True)
    (home / "history.db").write_bytes(b"not a database at all" * 200)
    said = shell("status", "--json")
    assert said.code == 0
    assert "localhost" in said.json()["hosts"]
    assert "file is not a database" in said.json()["history_fault"]
    assert "this command goes on without it" in said.err
    assert shell("deploy", "tiny@v1", "--dry-run").code == 1


def test_an_address_that_is_none_is_bad_input(shell: Shell) -> None:
    shell.patch.setenv("TOOLKIT_HISTORY", "postgresql://ops:xy@zzy@db/t")
    said = shell("releases", "tiny")
    assert said.code == 2
    assert said.err.startswith(
        "error: TOOLKIT_HISTORY is not the address of a history in PostgreSQL\nhint: write postgresql://USER@HOST/"
    )
    assert "zzy" not in said.err
