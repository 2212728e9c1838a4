"""Facts of hosts -> whether a version fits, what it serves there, and what an upgrade does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning import fit_models as models
from tests.planning.facts import GB, gpu, host, release, slot, version, wanted
from tests.planning.fit_models import awq, dense
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.plan import Strategy
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.fit import ModelFiles
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.files.tensors import Tensor
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.model import Version
from toolkit.errors import NothingSuitableError
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.architecture import read_architecture
from toolkit.planning.fit.host_fit import Candidate, Several, fit_host, predict_need
from toolkit.planning.fit.options import step_limits
from toolkit.planning.fit.predict import FitPlace, predict
from toolkit.planning.fit.reserve import device_reserve

GIB = 2**30
# Qwen2.5-7B on a GPU: 15,231,233,024 bytes in its files, 99 MiB of remainders, 8 MiB of positions
HELD = 15_231_233_024 + 107 * 2**20
# bytes of one token in the widest layer
SEVEN, EIGHT = (4 * 3584 + 3 * 18_944) * 2, (4 * 4096 + 3 * 14_336) * 2
QWEN = ModelFiles(models.QWEN25_7B, dense(models.QWEN25_7B, bias=True))
AWQ = ModelFiles(models.QWEN25_7B_AWQ, awq(models.QWEN25_7B))
QWEN32 = ModelFiles(models.QWEN3_32B, dense(models.QWEN3_32B))


def lock(accelerator: Accelerator, python: str) -> EngineLock:
    return EngineLock("vllm", "0.32.0", accelerator, python, "a" * 64, "", 1)


def candidate(
    files: ModelFiles = QWEN, *, memory: float = 20, devices: int = 1, **more: Any
) -> Candidate:
    """Return a candidate that asks for `memory` GiB on CUDA, 8,192 tokens a request."""
    serving = more.pop("serving", {"max-model-len": 8192})
    accelerators = more.pop("accelerators", (Accelerator.CUDA,))
    resources = {"accelerators": accelerators, "memory": int(memory * GIB), "devices": devices}
    size = sum(each.size for each in files.tensors)
    return Candidate(
        version=version(serving=serving, resources=resources, **more),
        files=files,
        snapshot=Snapshot(
            "demo/tiny", "1" * 40, (FileDigest("model.safetensors", size, "b" * 64),)
        ),
        lock_for=lock,
        wanted=lambda release, facts: wanted(release, "upgrade"),
    )


def card(gib: float, *, free: float | None = None, index: int = 0) -> Any:
    """Return a device of so many GiB."""
    return replace(
        gpu(index, 1, 1),
        memory=int(gib * GIB),
        memory_free=int((gib if free is None else free) * GIB),
    )


def gpu_host(*devices: Any, **more: Any) -> HostFacts:
    return host(*more.pop("slots", ()), devices=devices, **more)


def test_a_model_fits_on_a_card_that_has_room_for_it() -> None:
    found = fit_host(candidate(), gpu_host(card(24)))
    assert (found.fits, found.why, found.devices) == (
        True,
        "nothing of this model serves here",
        (0,),
    )
    said = found.prediction
    assert said is not None
    # 20 of 24 GiB, less the context and the logits of 256 requests, is the share 0.8064; the replica takes the rest too
    assert (said.budget, said.weights, said.token) == (
        int(0.8064 * 24 * GIB) + 1,
        HELD,
        57_344,
    )
    assert said.cache == said.budget - said.weights - said.reserve
    assert said.tokens == said.cache // (16 * 57_344) * 16
    assert said.longest == 32_768


def test_the_same_model_quantised_fits_on_a_smaller_one() -> None:
    small = gpu_host(card(12))
    assert not fit_host(candidate(), small).fits
    found = fit_host(candidate(AWQ, memory=10), small)
    assert found.fits
    assert found.prediction is not None
    assert found.prediction.weights == 5_664_594_944


# asked for (GiB, devices), the host, why not
NOT: list[tuple[Candidate, HostFacts, str]] = [
    (candidate(), host(), "it needs 20GiB (21.5 GB) on 1 CUDA device; there is no NVIDIA device"),
    (candidate(), gpu_host(card(16)), "there is NVIDIA Test (17.2 GB)"),
    (candidate(memory=15), gpu_host(card(24)),
     "needs 18.1 GB, its `resources.memory` gives 15GiB (16.1 GB); weights alone take 15.3 GB"),
    (candidate(memory=17, serving={"max-model-len": 32768}), gpu_host(card(24)), "tokens would fit (`max-model-len`)"),
    (candidate(), gpu_host(card(24), disk_free=9 * GB), "its files take 15.2 GB, 9 GB of disk are free"),
    (candidate(), gpu_host(card(24, free=2)), "with nothing of ours left running"),
    (candidate(memory=24, accelerators=(Accelerator.CPU,), env={"VLLM_CPU_KVCACHE_SPACE": "20"}), host(memory=64 * GB),
     "weights and cache alone take 36.7 GB, its `resources.memory` says 24GiB (25.8 GB)"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "facts", "words"), NOT)
def test_why_it_does_not_fit(asked: Candidate, facts: HostFacts, words: str) -> None:
    found = fit_host(asked, facts)
    assert not found.fits
    assert words in found.why
    assert found.strategy == ""


def test_an_engine_without_a_lock_for_the_host_is_a_reason() -> None:
    def none(accelerator: Accelerator, python: str) -> EngineLock:
        raise NothingSuitableError("no lock of vllm 0.32.0 for cuda on Python 3.9")

    found = fit_host(replace(candidate(), lock_for=none), gpu_host(card(24)))
    assert (found.fits, found.why) == (False, "no lock of vllm 0.32.0 for cuda on Python 3.9")
    assert found.prediction is not None


def old(**more: Any) -> Any:
    held = release(1, memory=20 * GIB, gpu=True)
    return slot("blue", held, weight=100, devices=(0,), **more)


@pytest.mark.parametrize(
    ("cards", "strategy", "downtime", "devices"),
    [
        ((card(48, free=28),), Strategy.SIDE_BY_SIDE, "0 s", (0,)),
        ((card(24, free=4),), Strategy.SWAP, "about 4 min 00 s", (0,)),
        ((card(24, free=4), card(24, index=1)), Strategy.SIDE_BY_SIDE, "0 s", (1,)),
    ],
    ids=["beside it", "in its place", "on another card"],
)
def test_what_an_upgrade_does(
    cards: tuple[Any, ...], strategy: Strategy, downtime: str, devices: tuple[int, ...]
) -> None:
    asked = replace(candidate(), wanted=lambda r, _: wanted(r, "upgrade", ready_seconds=240.0))
    found = fit_host(asked, gpu_host(*cards, slots=(old(),), snapshots=(1,)))
    assert (found.fits, found.strategy, found.downtime, found.devices) == (
        True,
        strategy,
        downtime,
        devices,
    )


# Of 65.5 GB of weights in 64 layers, each device has a share; 14 stages put five layers in the middle and four,
# with the embeddings, at the front, where 13 would put five.
@pytest.mark.parametrize(
    ("cards", "memory", "expected"),
    [
        ((card(16), card(16, index=1)), 80, Several(3, 2, 3)),
        ((card(24), card(24, index=1)), 80, Several(2, 2, 2)),
        ((card(24), card(24, index=1), card(24, index=2)), 80, Several(2, 2, 2)),
        ((card(8),), 80, Several(14, 1, 14)),
        ((card(4),), 80, None),
    ],
    ids=["2 x 16", "2 x 24", "2 of 3 x 24", "one of 8", "none can"],
)  # fmt: skip
def test_a_model_too_large_for_one_host_says_how_many_it_needs(
    cards: tuple[Any, ...], memory: int, expected: Several | None
) -> None:
    found = fit_host(candidate(QWEN32, memory=memory), gpu_host(*cards))
    assert (found.fits, found.several) == (False, expected)


def test_where_one_host_is_enough_no_other_is_asked_for() -> None:
    found = fit_host(candidate(memory=15), gpu_host(card(24)))
    assert (found.fits, found.several) == (False, None)


def test_an_unknown_architecture_still_shows_its_weights() -> None:
    files = ModelFiles(
        {"model_type": "new", "state_size": 16}, (Tensor("w", "BF16", (1,), 2 * GB),)
    )
    found = fit_host(candidate(files, memory=4), gpu_host(card(24)))
    assert found.fits
    assert found.prediction is not None
    assert found.prediction.weights == 2 * GB
    assert found.prediction.note == (
        "its cache is not predicted: it has state-space layers (`state_size`)"
    )
    assert not fit_host(candidate(files, memory=1), gpu_host(card(24))).fits


def test_the_need_is_known_without_any_host() -> None:
    need = predict_need(candidate())
    assert (need.weights, need.context) == (HELD, 8192)
    assert need.least == need.weights + need.reserve + (512 + 1) * 16 * 57_344
    # What it takes beside its share is a part of the 20 GiB that it states.
    assert 19.9 * GIB < need.taken <= 20.1 * GIB


def test_on_the_cpu_the_cache_is_what_is_left_of_the_memory_asked_for() -> None:
    asked = candidate(memory=24, accelerators=(Accelerator.CPU,))
    found = fit_host(asked, host(memory=64 * GB, memory_available=60 * GB))
    assert found.fits
    assert found.prediction is not None
    # 24 GiB less 15.2 GB less 2 GiB, in whole GiB
    assert found.prediction.cache == 7 * GIB
    assert found.prediction.tokens == 7 * GIB // (128 * 57_344) * 128


def test_two_devices_hold_half_each() -> None:
    found = fit_host(candidate(memory=24, devices=2), gpu_host(card(16), card(16, index=1)))
    assert found.prediction is not None
    assert found.fits
    assert (found.prediction.tensor_parallel, found.prediction.token) == (2, 28_672)
    norms = (28 * 2 + 1) * 3584 * 2 + 28 * (3584 + 2 * 512) * 2
    rest = found.prediction.weights - ((15_231_233_024 - norms) // 2 + norms)
    # In MiB, remainders of the allocator in 28 layers, embeddings and head, and the table of positions.
    assert rest == (28 * (1 / 4 + 1 / 2 + 5 / 4) + 2 * 1 / 4 + 8) * 2**20


def test_heads_that_cannot_be_split_are_said() -> None:
    said = predict(QWEN, EngineOptions(tensor_parallel=8), FitPlace(Accelerator.CUDA, 24 * GIB))
    assert "28 heads cannot be split over 8 devices" in said.note


@pytest.mark.parametrize(
    ("config", "memory", "said", "parts"),
    [
        # 2,048 tokens x (4 x 3,584 + 3 x 18,944) x 2; 51 sizes in 29 pieces, 35 whole, in the memory of 512 tokens
        (models.QWEN25_7B, 24, {}, (2048 * SEVEN, 0, 51 * 29, 35, 512 * SEVEN)),
        # 8,192 tokens x (4 x 4,096 + 3 x 14,336) x 2; 51 sizes in 33 pieces, 51 whole
        (models.LLAMA31_8B, 80, {}, (8192 * EIGHT, 0, 51 * 33, 51, 512 * EIGHT)),
        (models.QWEN25_7B, 24, {"eager": True}, (2048 * SEVEN, 0, 0, 0, 0)),
        # small steps of a large vocabulary: 1,024 requests x 152,064 logits x 2
        (models.QWEN25_7B, 80, {"batch": 1024, "eager": True}, (1024 * 152_064 * 2, 0, 0, 0, 0)),
        (models.QWEN25_7B, 24, {"tensor_parallel": 2, "eager": True}, (2048 * (4 * 3584 + 3 * 9472) * 2, 768, 0, 0, 0)),
    ],
)  # fmt: skip
def test_the_reserve_follows_from_the_largest_step(
    config: models.Config, memory: int, said: dict[str, Any], parts: tuple[int, int, int, int, int]
) -> None:
    arch, options = read_architecture(config), EngineOptions(**said)
    limits = step_limits(arch, options, Accelerator.CUDA, memory * GIB, "NVIDIA")
    peak, between, pieces, whole, pool = parts
    # kernels 225 MiB, cuBLAS 32, a graph of a piece 0.55, of a whole step at least 1
    graphs = pool + pieces * (11 * 2**20 // 20) + whole * 2**20
    expected = peak + (225 + 32 + between) * 2**20 + graphs
    assert device_reserve(arch, options, limits) == expected


def test_a_cache_of_a_given_size_is_taken_as_it_is() -> None:
    said = predict(QWEN, EngineOptions(cache=GIB), FitPlace(Accelerator.CUDA, 24 * GIB))
    assert (said.cache, said.tokens) == (GIB, GIB // (16 * 57_344) * 16)


def test_a_version_of_both_kinds_takes_the_first_that_the_host_has() -> None:
    both: Version = candidate(accelerators=(Accelerator.CUDA, Accelerator.CPU)).version
    asked = replace(candidate(), version=both)
    assert fit_host(asked, gpu_host(card(24))).accelerator == "cuda"
    assert fit_host(asked, host(memory=64 * GB, memory_available=60 * GB)).accelerator == "cpu"
