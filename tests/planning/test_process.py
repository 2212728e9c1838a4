"""What starts a replica's process, and the manifest that says what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import release
from toolkit.domain.deployment.release import Span
from toolkit.planning.change.process import compiles, process_variables, seat_of
from toolkit.planning.engines.port import Seat

HOSTS = ("10.0.0.1", "10.0.0.2")
SPAN = {"rank": 1, "hosts": [*HOSTS], "port": 28000, "door": 8100}
HOME = "/opt/tk/caches/tiny-blue"
ENGINE = "vllm-0.32.0-cpu-py311-aaaaaaaa"


@pytest.mark.parametrize(
    ("span", "fences", "seat"),
    [
        # What is compiled lies under one path in all slots, or under the slot's own where it has no view of its own.
        ({}, ("files",), Seat("/opt/tk", 8100, HOME, compiling="/opt/tk/compiling/here")),
        ({}, ("user",), Seat("/opt/tk", 8100, HOME, compiling="/opt/tk/compiling/tiny-blue")),
        (
            SPAN,
            ("files",),
            Seat("/opt/tk", 8100, HOME, HOSTS, 1, 28001, "/opt/tk/compiling/here"),
        ),
    ],
)
def test_the_seat_of_a_process(span: dict[str, Any], fences: tuple[str, ...], seat: Seat) -> None:
    assert seat_of("/opt/tk", "tiny-blue", 8100, span, fences) == seat


def test_what_is_compiled_depends_on_engine_arguments_and_environment_but_not_on_names() -> None:
    words = (
        "--served-model-name",
        "tiny",
        "other",
        "--shutdown-timeout",
        "30",
        "--max-num-seqs",
        "8",
    )
    made = replace(
        release(1),
        engine=ENGINE,
        args=(*words, "--disable-uvicorn-access-log"),
        env={"B": "2", "A": "1"},
    )
    assert compiles(made) == {
        "engine": ENGINE,
        "accelerator": "cpu",
        "words": ["--max-num-seqs", "8", "A=1", "B=2"],
        "rank": [0, 1],
    }
    assert compiles(made, 1, 2)["rank"] == [1, 2]


@pytest.mark.parametrize(
    ("accelerator", "devices", "expected"),
    [
        ("cpu", (), {"replica_nice": 10, "replica_device_nodes": "", "replica_device_unit": ""}),
        (
            "cuda",
            (2, 3),
            {
                "replica_nice": 0,
                "replica_device_nodes": "char-nvidia*",
                "replica_device_unit": "nvidia",
            },
        ),
    ],
)
def test_what_follows_from_the_accelerator(
    accelerator: str, devices: tuple[int, ...], expected: dict[str, Any]
) -> None:
    made = replace(release(1), engine=ENGINE, accelerator=accelerator)
    found = process_variables(made, "blue", Seat("/opt/tk", 8100, HOME), devices)
    assert {name: found[name] for name in expected} == expected
    chosen = ",".join(map(str, devices)) or None
    assert found["replica_env"].get("CUDA_VISIBLE_DEVICES") == chosen


@pytest.mark.parametrize(
    ("more", "dozes"),
    [
        ({}, True),
        ({"args": ()}, False),
        ({"accelerator": "cpu"}, False),
        ({"devices": 2}, False),
        ({"span": Span(2, HOSTS, 28000)}, False),
        ({"args": ("--enable-sleep-mode", "--api-server-count", "2")}, False),
        ({"args": ("--enable-sleep-mode", "--data-parallel-size", "2")}, False),
        ({"args": ("--enable-lora", "--enable-sleep-mode")}, False),
    ],
)
def test_only_a_replica_that_can_doze_is_told_where_it_is_asked_to(
    more: dict[str, Any], dozes: bool
) -> None:
    able = replace(release(1, gpu=True), args=("--enable-sleep-mode",))
    seat = Seat("/opt/tk", 8100, HOME, compiling="/opt/tk/compiling/here")
    env = process_variables(replace(able, **more), "blue", seat, (0,))["replica_env"]
    assert env.get("TOOLKIT_DOZE") == (f"{HOME}/doze.sock" if dozes else None)


def test_the_releases_own_environment_is_last() -> None:
    made = replace(release(1), engine=ENGINE, env={"HF_HUB_OFFLINE": "0", "A": "b"})
    env = process_variables(made, "blue", Seat("/opt/tk", 8100, HOME), ())["replica_env"]
    assert (env["HF_HUB_OFFLINE"], env["A"], env["VLLM_NO_USAGE_STATS"]) == ("0", "b", "1")


def test_the_manifest_says_what_runs_and_where_it_shows() -> None:
    made = replace(release(1), engine=ENGINE, args=("--a",))
    found = process_variables(made, "green", Seat("/opt/tk", 8101, HOME), (0,))
    manifest = found["replica_manifest"]
    assert {name: manifest[name] for name in ("model", "slot", "port", "devices")} == {
        "model": made.model,
        "slot": "green",
        "port": 8101,
        "devices": [0],
    }
    assert manifest["release"] == made.as_json()
    assert manifest["signs"]["ending"] == ("--host", "127.0.0.1", "--port", "8101", "--a")
    assert found["replica_command"][-3:] == ["--port", "8101", "--a"]
