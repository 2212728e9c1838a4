"""Failures of several hosts, told as one error."""

from __future__ import annotations

import pytest

from toolkit.domain.hosts.failures import joined, own_words
from toolkit.errors import (
    CalledOffError,
    HostError,
    IntegrityError,
    ReleaseFailedError,
    ToolkitError,
)

GENERAL = "toolkit status"
PINNED = IntegrityError("w.safetensors differs", hint="toolkit pull --again")


@pytest.mark.parametrize(
    ("failures", "kind", "message", "hint", "code"),
    [
        ({"gpu1": PINNED}, IntegrityError, "gpu1: w.safetensors differs", PINNED.hint, 6),
        (
            {"gpu1": PINNED, "gpu2": PINNED},
            IntegrityError,
            "gpu1, gpu2: w.safetensors differs",
            PINNED.hint,
            6,
        ),
        (
            {"gpu1": HostError("gpu1: no route to host", hint="toolkit hosts")},
            HostError,
            "gpu1: no route to host",
            "toolkit hosts",
            7,
        ),
        (
            {"gpu1": HostError("disk full", hint="toolkit prune"), "gpu2": PINNED},
            IntegrityError,
            "gpu1: disk full\n    hint: toolkit prune\n"
            "  gpu2: w.safetensors differs\n    hint: toolkit pull --again",
            GENERAL,
            6,
        ),
        (
            {"gpu1": CalledOffError("gpu2 failed"), "gpu2": ReleaseFailedError("did not start")},
            ReleaseFailedError,
            "gpu1: gpu2 failed\n  gpu2: did not start",
            GENERAL,
            8,
        ),
    ],
)
def test_joined_failures_keep_kind_hint_and_exit_code(
    failures: dict[str, ToolkitError],
    kind: type[ToolkitError],
    message: str,
    hint: str,
    code: int,
) -> None:
    error = joined(failures, hint=GENERAL)
    assert (type(error), error.message, error.hint, error.exit_code) == (kind, message, hint, code)
    assert error.hosts == failures


ROUTER = HostError("alpha: the router did not answer 'show info' within 5 s", hint="toolkit doctor")


@pytest.mark.parametrize(
    ("failures", "message", "hint"),
    [
        # One router kept two hosts from their change of routes.
        ({"beta": ROUTER, "alpha": ROUTER}, ROUTER.message, "toolkit doctor"),
        ({"beta": ROUTER}, f"beta: {ROUTER.message}", "toolkit doctor"),
        (
            {
                "alpha": HostError("alpha: the disk is full", hint="toolkit prune --host alpha"),
                "beta": HostError("beta: the disk is full", hint="toolkit prune --host beta"),
            },
            "alpha, beta: the disk is full",
            "toolkit prune --host HOST",
        ),
        (
            {
                "alpha": HostError("no room on alpha: 1 GB", hint=GENERAL),
                "beta": HostError("no room on beta: 1 GB", hint=GENERAL),
            },
            "alpha, beta: no room on HOST: 1 GB",
            GENERAL,
        ),
        ({"alpha": HostError("alpha does not answer")}, "alpha does not answer", ""),
        # A name is no part of another name.
        (
            {"gpu1": HostError("gpu1: no route"), "gpu10": HostError("gpu1: no route to gpu10")},
            "gpu1: no route\n  gpu1: no route to gpu10",
            GENERAL,
        ),
        (
            {"alpha": ROUTER, "beta": ROUTER, "gamma": HostError("gamma: the disk is full")},
            f"{ROUTER.message}\n    hint: toolkit doctor\n  gamma: the disk is full",
            GENERAL,
        ),
    ],
)
def test_a_host_is_named_once(failures: dict[str, ToolkitError], message: str, hint: str) -> None:
    error = joined(failures, hint=GENERAL)
    assert (error.message, error.hint) == (message, hint)
    assert error.hosts == failures


def test_a_message_loses_its_own_host_alone() -> None:
    assert own_words("gpu1", "gpu1: no route to host") == "no route to host"
    assert own_words("gpu1", "gpu10: no route to host") == "gpu10: no route to host"


def test_the_only_host_of_a_fleet_is_not_named() -> None:
    error = joined({"localhost": PINNED}, hint=GENERAL, alone=True, more="it serves on")
    assert error.message == "w.safetensors differs\n  it serves on"
