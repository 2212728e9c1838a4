"""Bad versions, commands that are killed and replicas that die, with real vLLM: what serves goes on to serve."""

from __future__ import annotations

import pytest

from tests.system.main_job import WHO, kill_engine, run, running_step, start
from tests.system.served import Served
from tests.system.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("broken-weights", "SafetensorError"),
        ("rubbish", "answered nothing"),
    ],
)
def test_a_bad_version_never_takes_traffic(served: Served, version: str, words: str) -> None:
    load = served.load()
    try:
        code, said = run(served, "upgrade", "tiny", "--to", version, "--yes")
    finally:
        report = load.stop()

    assert code == 8
    assert words in said
    assert report.bad == ()
    assert report.versions.keys() == {"v1"}
    assert served.slots() == {"v1": "serving"}


def test_killed_in_the_middle_it_keeps_serving_and_the_next_command_finishes(
    served: Served,
) -> None:
    with start(served, "upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1") as command:
        until(lambda: command.goes_on() and running_step(served), 120, lambda step: step == "start")
        code, said = run(served, "deploy", "tiny@v2", "--yes")
        assert code == 4
        assert f"(pid {command.process.pid})" in said
        assert "upgrade tiny --to v2" in said
        command.kill()
    assert served.lab.ask(WHO) == "I am version v1."
    assert "unfinished: deployment" in served.lab.toolkit("status")

    code, said = run(served, "upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1")
    assert (code, "undoing it" in said) == (0, True)
    assert served.lab.ask(WHO) == "I am version v2."
    assert served.slots() == {"v1": "standby", "v2": "serving"}


def test_a_release_that_dies_right_after_the_switch_is_reverted(served: Served) -> None:
    load = served.load()
    try:
        with start(served, "deploy", "tiny@v1", "--yes", "--bake", "60") as command:
            load.wait_for(
                lambda report: command.goes_on() and report.versions.get("v1", 0) > 0, 120
            )
            kill_engine(served, "v1")
            assert command.end(300) == 8, command.said
    finally:
        report = load.stop()

    assert "failed its bake" in command.said
    assert served.lab.ask(WHO) == "I am version v2."
    assert served.slots() == {"v2": "serving"}
    # What died with it may be lost; nothing else is, and no answer is a mixture.
    assert {each.verdict for each in report.bad} <= {"failed", "truncated"}
