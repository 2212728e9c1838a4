"""What a version runs on here, or what it lacks."""

from __future__ import annotations

import pytest

from tests.planning.facts import GB, gpu, host, version
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import NothingSuitableError
from toolkit.planning.release.engine_choice import choose_accelerator

CUDA, CPU = Accelerator.CUDA, Accelerator.CPU
BOTH, REVERSED = (CUDA, CPU), (CPU, CUDA)


@pytest.mark.parametrize(
    ("accelerators", "memory", "devices", "facts", "chosen"),
    [
        (BOTH, 16, 1, host(), CPU),
        (BOTH, 16, 1, host(devices=(gpu(0, 24, 24),)), CUDA),
        (REVERSED, 16, 1, host(devices=(gpu(0, 24, 24),)), CPU),
        # a busy device counts: whether it fits now is for the plan to say
        (BOTH, 16, 1, host(devices=(gpu(0, 24, 0),)), CUDA),
        (BOTH, 16, 1, host(devices=(gpu(0, 8, 8),)), CPU),
        (BOTH, 40, 2, host(devices=(gpu(0, 24, 24), gpu(1, 24, 24))), CUDA),
        ((CPU,), 24, 1, host(), CPU),
        # exactly as large as the device
        ((CUDA,), 24, 1, host(devices=(gpu(0, 24, 24),)), CUDA),
    ],
)
def test_the_first_that_can_hold_it(
    accelerators: tuple[Accelerator, ...],
    memory: int,
    devices: int,
    facts: HostFacts,
    chosen: Accelerator,
) -> None:
    needs = {"accelerators": accelerators, "memory": memory * GB, "devices": devices}
    assert choose_accelerator(version(resources=needs), facts) is chosen


@pytest.mark.parametrize(
    ("accelerators", "memory", "devices", "facts", "words"),
    [
        (
            (CUDA,), 20, 1, host(),
            "tiny@v1 does not fit on localhost: it needs 20 GB on 1 CUDA device; "
            "there is no NVIDIA device, 2 CPU cores with 24 GB of memory",
        ),
        (
            BOTH, 40, 2, host(devices=(gpu(0, 24, 24),)),
            "tiny@v1 does not fit on localhost: it needs 40 GB on 2 CUDA devices or 40 GB of memory "
            "on the CPU; there is NVIDIA Test (24 GB), 2 CPU cores with 24 GB of memory",
        ),
        (
            (CUDA,), 60, 2, host(devices=(gpu(0, 24, 24), gpu(1, 80, 80))),
            "tiny@v1 does not fit on localhost: it needs 60 GB on 2 CUDA devices; there is NVIDIA "
            "Test (24 GB), NVIDIA Test (80 GB), 2 CPU cores with 24 GB of memory",
        ),
        (
            (CPU,), 25, 1, host(),
            "tiny@v1 does not fit on localhost: it needs 25 GB of memory on the CPU; there is no "
            "NVIDIA device, 2 CPU cores with 24 GB of memory",
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_what_it_needs_and_what_is_there(
    accelerators: tuple[Accelerator, ...], memory: int, devices: int, facts: HostFacts, words: str
) -> None:
    needs = {"accelerators": accelerators, "memory": memory * GB, "devices": devices}
    with pytest.raises(NothingSuitableError) as caught:
        choose_accelerator(version(resources=needs), facts)
    assert caught.value.message == words
    assert "toolkit registry list" in caught.value.hint
