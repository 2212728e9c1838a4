"""What a lock's packages can compile on a host that has the driver alone, and what is not compiled there at all."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.planning.facts import GB, gpu, host, version
from toolkit.config.engine_locks import SHIPPED, read_lock
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.requirements import parse_requirements
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.errors import NothingSuitableError
from toolkit.planning.engines import engine_named
from toolkit.planning.release.build import build_release

CUDA, CPU = Accelerator.CUDA, Accelerator.CPU
VLLM = engine_named("vllm")
# What torch 2.13 pins, and what NVIDIA's newest compiler brings where nothing bounds it.
HEADERS = {"nvidia-cuda-runtime": "13.0.96", "nvidia-cuda-nvrtc": "13.0.88"}
FITTING = {**HEADERS, "nvidia-cuda-nvcc": "13.0.88", "nvidia-nvvm": "13.0.88"}
COMPILES = "flashinfer-python {} compiles kernels where they are first needed, with a compiler that hosts do not have"
CLASH = "{} 13.5.37 compiles nothing with the headers of nvidia-cuda-runtime 13.0.96"


@pytest.mark.parametrize(
    ("packages", "unfit"),
    [
        (FITTING, ()),
        ({**FITTING, "nvidia-cuda-nvcc": "13.5.37"}, (CLASH.format("nvidia-cuda-nvcc"),)),
        (
            {**FITTING, "nvidia-cuda-crt": "13.5.37", "nvidia-nvvm": "13.5.37"},
            (CLASH.format("nvidia-cuda-crt"), CLASH.format("nvidia-nvvm")),
        ),
        ({**FITTING, "nvidia-cuda-nvrtc": "13.5.37"}, (CLASH.format("nvidia-cuda-nvrtc"),)),
        # a compiler for other headers than those of the set is no concern of it
        ({**FITTING, "nvidia-cuda-nvcc-cu12": "12.9.86"}, ()),
        (
            {"nvidia-cuda-runtime-cu12": "12.8.90", "nvidia-cuda-nvcc-cu12": "12.9.86"},
            ("nvidia-cuda-nvcc-cu12 12.9.86 compiles nothing with the headers of "
             "nvidia-cuda-runtime-cu12 12.8.90",),
        ),
        ({"flashinfer-python": "0.7.0.post1"}, (COMPILES.format("0.7.0.post1"),)),
        (
            {**FITTING, "flashinfer-python": "0.7.0.post1", "flashinfer-cubin": "0.7.0.post1"},
            (COMPILES.format("0.7.0.post1"),),
        ),
        ({"cuda-bindings": "13.4.4", "cuda-python": "13.4.4"}, ()),
        ({"cuda-python": "12.6.2.post1"}, ()),
        (
            {"cuda-bindings": "13.5.0", "cuda-python": "12.6.2.post1"},
            ("cuda-python 12.6.2.post1 has other modules `cuda.bindings` than cuda-bindings 13.5.0",),
        ),
        (
            {"humming-kernels": "0.1.17"},
            ("humming-kernels 0.1.17 compiles kernels at the start, with an NVRTC that does not find its libraries",),
        ),
        (
            {"flashinfer-python": "0.7.0", "flashinfer-jit-cache": "0.7.0+cu130"},
            (COMPILES.format("0.7.0"),),
        ),
        (
            {
                "flashinfer-python": "0.7.0",
                "flashinfer-jit-cache": "0.7.0+cu130",
                "flashinfer-cubin": "0.7.0",
            },
            (),
        ),
        (
            {
                "flashinfer-python": "0.7.0.post1",
                "flashinfer-jit-cache": "0.7.0.post1",
                "flashinfer-cubin": "0.6.13",
            },
            ("flashinfer-cubin 0.6.13 has kernels for another flashinfer-python than 0.7.0.post1",),
        ),
        (
            {"nvidia-cuda-runtime": "14.0.1"},
            ("nvidia-cuda-runtime 14.0.1 needs a newer NVIDIA driver than 580, which runs CUDA 13",),
        ),
        ({"nvidia-cuda-runtime": "12.9.79"}, ()),
        ({"nvidia-cuda-runtime": "1!13.0"}, ()),
        (
            {"nvidia-nccl-cu12": "2.27.5", "nvidia-nccl-cu13": "2.29.7"},
            ("nvidia-nccl-cu12 2.27.5 has the same files as nvidia-nccl-cu13 2.29.7",),
        ),
        ({"nvidia-nccl-cu12": "2.27.5", "nvidia-cudnn-cu13": "9.20.0.48"}, ()),
        ({"nvidia-cutlass-dsl-libs-cu12": "4.8.0", "nvidia-cutlass-dsl-libs-cu13": "4.8.0"}, ()),
        ({"torch": "2.13.0+cu130"}, ()),
        # libraries and builds of another CUDA than the one that torch loads
        ({**FITTING, "torch": "2.13.0+cu130", "vllm": "0.32.0+cu130.a", "nvidia-nccl-cu13": "2.29.7"}, ()),
        (
            {**FITTING, "torch": "2.13.0+cu126"},
            ("torch 2.13.0+cu126 is for CUDA 12, and nvidia-cuda-runtime 13.0.96 for CUDA 13",),
        ),
        (
            {"nvidia-cuda-runtime-cu12": "12.8.90", "torchaudio": "2.11.0+cu130", "torch": "2.13.0+cu128"},
            ("torchaudio 2.11.0+cu130 is for CUDA 13, and nvidia-cuda-runtime-cu12 12.8.90 for CUDA 12",),
        ),
        (
            {**FITTING, "nvidia-cudnn-cu12": "9.20.0.48", "nvidia-nccl-cu12": "2.27.5", "nvidia-nccl-cu13": "2.29.7"},
            (
                "nvidia-nccl-cu12 2.27.5 has the same files as nvidia-nccl-cu13 2.29.7",
                "nvidia-cudnn-cu12 9.20.0.48 is for CUDA 12, and nvidia-cuda-runtime 13.0.96 for CUDA 13",
            ),
        ),
        ({**FITTING, "nvidia-cutlass-dsl-libs-cu12": "4.8.0", "x": "1.0+cuda", "y": "2+cu"}, ()),
        ({"torch": "2.13.0+cpu"}, ("torch 2.13.0+cpu cannot compute on CUDA",)),
        ({"torch": "2.13.0"}, ()),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_named(
    packages: dict[str, str], unfit: tuple[str, ...]
) -> None:
    assert VLLM.unfit_packages(CUDA, packages) == unfit


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.lock")), ids=lambda path: path.name)
def test_every_shipped_lock_fits_together(path: Path) -> None:
    packages = {each.name: each.version for each in parse_requirements(path.read_text())}
    accelerator = read_lock(path).accelerator
    assert VLLM.unfit_packages(accelerator, packages) == ()
    # The packages that a lock asks for beside the engine are in it.
    for requirement in VLLM.companions.get(accelerator, ()):
        assert re.split(r"[\[<>=~]", requirement)[0] in packages


def test_a_replica_on_cuda_compiles_nothing_unless_the_registry_says_so() -> None:
    quiet = {"VLLM_USE_FLASHINFER_SAMPLER": "0", "VLLM_USE_DEEP_GEMM": "0"}
    assert VLLM.environment(version(), CUDA, GB) == quiet
    wanted = version(env={"VLLM_USE_FLASHINFER_SAMPLER": "1", "CUDA_HOME": "/usr/local/cuda"})
    assert VLLM.environment(wanted, CUDA, GB) == {
        "VLLM_USE_FLASHINFER_SAMPLER": "1",
        "VLLM_USE_DEEP_GEMM": "0",
        "CUDA_HOME": "/usr/local/cuda",
    }
    assert not quiet.keys() & VLLM.environment(version(), CPU, GB).keys()


def test_sums_over_several_devices_are_vllms_own_unless_the_registry_says_so() -> None:
    pair = {"memory": 40 * GB, "devices": 2}
    name = "VLLM_ALLREDUCE_USE_FLASHINFER"
    assert VLLM.environment(version(resources=pair), CUDA, GB)[name] == "0"
    assert name not in VLLM.environment(version(resources={"hosts": 2}), CUDA, GB)
    assert name not in VLLM.environment(version(resources=pair), CPU, GB)
    wanted = version(resources=pair, env={name: "1"})
    assert VLLM.environment(wanted, CUDA, GB)[name] == "1"


MINIMAX = ("MiniMaxM3SparseForConditionalGeneration",)


@pytest.mark.parametrize("engine", ["0.31.0", "0.32.0", "0.33.1"])
def test_a_model_that_takes_its_kernels_from_flashinfer_needs_it_on_cuda(engine: str) -> None:
    """vLLM 0.32, models/minimax_m3/nvidia/model.py: its norms import FlashInfer and ask nothing before."""
    needs = "flashinfer-python"
    there = {"torch", "torchvision"}
    assert VLLM.lacking(engine, CUDA, there, ModelFacts(MINIMAX)) == needs
    assert VLLM.lacking(engine, CUDA, {*there, needs}, ModelFacts(MINIMAX)) == ""
    assert VLLM.lacking(engine, CPU, there, ModelFacts(MINIMAX)) == ""
    for other in ((), ("MiniMaxM2ForCausalLM",), ("Qwen3ForCausalLM",), ("MiniMaxM3",)):
        assert VLLM.lacking(engine, CUDA, {"torch"}, ModelFacts(other)) == ""


@pytest.mark.parametrize(
    ("architecture", "needs"),
    [
        ("Qwen3_5ForConditionalGeneration", "torchvision"),
        ("Qwen3_5ForCausalLM", "torchvision"),
        ("Gemma3ForConditionalGeneration", "torchvision"),
        ("Gemma3ForCausalLM", ""),
        ("Qwen3NextForCausalLM", ""),
        ("WhisperForConditionalGeneration", ""),
    ],
)
def test_a_model_whose_code_imports_torchvision_needs_it(architecture: str, needs: str) -> None:
    """Recorded of vLLM 0.32 on the CPU, where it is not installed: `No module named 'torchvision'` at the start."""
    facts = ModelFacts((architecture,))
    for accelerator in (CPU, CUDA):
        assert VLLM.lacking("0.32.0", accelerator, {"torch"}, facts) == needs
        assert VLLM.lacking("0.32.0", accelerator, {"torch", "torchvision"}, facts) == ""


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.lock")), ids=lambda path: path.stem)
def test_such_a_model_is_refused_with_the_shipped_locks(path: Path) -> None:
    lock = read_lock(path)
    assert {"torch", "numpy"} <= lock.names
    wanted, there = version(), host(devices=(gpu(0, 80 * GB, 80 * GB),))
    files = (FileDigest("model.safetensors", 10, "a" * 64),)
    model = Snapshot("acme/m3", "1" * 40, files, ModelFacts(MINIMAX, template=True))
    # A lock for the CPU has no torchvision, which its code imports too.
    needs = "torchvision" if lock.accelerator is CPU else "flashinfer-python"
    with pytest.raises(NothingSuitableError, match=f"{MINIMAX[0]}.* with {needs}") as error:
        build_release(wanted, model, lock, there, 1)
    assert "docs/operations.md#engines" in error.value.hint
    full = replace(lock, names=lock.names | {needs})
    assert build_release(wanted, model, full, there, 1).engine == lock.id
