"""Failures of several hosts, told as one error."""

from __future__ import annotations

import pytest

from toolkit.errors import (
    CalledOffError,
    HostError,
    IntegrityError,
    ReleaseFailedError,
    ToolkitError,
    joined,
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


def test_the_only_host_of_a_fleet_is_not_named() -> None:
    error = joined({"localhost": PINNED}, hint=GENERAL, alone=True, more="it serves on")
    assert error.message == "w.safetensors differs\n  it serves on"
