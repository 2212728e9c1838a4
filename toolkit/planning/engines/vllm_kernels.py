"""The kernels that vLLM compiles on the host, and whether the packages of a lock can compile them.

A host needs the NVIDIA driver alone. FlashInfer and DeepGEMM compile their kernels with CUDA's compiler where a kernel
is first needed, and end the engine where they find none. vLLM's own choices of them are switched off here, unless an
operator names one under `serving` or `env`. Not all that vLLM takes from FlashInfer has a switch, so
the locks leave it out. Its ready-built kernels (flashinfer-cubin, flashinfer-jit-cache) are not in the package
index for the FlashInfer that vLLM 0.32 pins. In locks with FlashInfer the switches still count.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.planning.engines import vllm_torchvision
from toolkit.planning.engines.vllm_names import Flags, Variables
from toolkit.planning.engines.vllm_table import table_of

# Requirements beside vLLM. Its packages accept any version of the compiler and get the newest one, while torch pins the
# headers. CUDA's own package, which torch pins too, brings compiler and headers of one version. Up to 12.6, cuda-python
# contains the modules of cuda-bindings and requires no version of it, so a resolver falls back to such a version.
COMPANIONS: Mapping[Accelerator, tuple[str, ...]] = {
    Accelerator.CUDA: ("cuda-toolkit[nvcc,cccl]", "cuda-python>=12.8"),
}
_HEADERS = "nvidia-cuda-runtime"
_COMPILERS = ("nvidia-cuda-nvcc", "nvidia-cuda-crt", "nvidia-nvvm", "nvidia-cuda-nvrtc")
# NVIDIA names the packages of some versions of CUDA with a suffix.
_SUFFIXES = ("", "-cu12", "-cu13")
# Of NVIDIA's packages for several versions of CUDA, the only ones without a file in common.
_SIDE_BY_SIDE = ("nvidia-cutlass-dsl-libs",)
_BUILT_FOR = re.compile(r"\+cu([0-9]{2})[0-9]")
_BINDINGS = ("cuda-python", "cuda-bindings")
_HUMMING = "humming-kernels"
_FLASHINFER = "flashinfer-python"
_READY_BUILT = ("flashinfer-cubin", "flashinfer-jit-cache")


def nothing_to_compile(variables: Variables, devices: int) -> dict[str, str]:
    """Return the environment in which the default path of vLLM on CUDA needs no compiler, on so many devices of a host.

    vLLM 0.32, v1/sample/ops/topk_topp_sampler.py, flashinfer_sampler_supported: the sampler of FlashInfer is on unless
    this variable says otherwise, whether its kernels can be compiled or not. vLLM's own sampler is in Triton, which
    brings its compiler. utils/import_utils.py, has_deep_gemm: DeepGEMM counts as usable because vLLM contains it; it
    multiplies weights in blocks of FP8 on Hopper and newer devices, for which vLLM has other kernels too.
    distributed/device_communicators/cuda_communicator.py: sums over several devices are FlashInfer's wherever that is
    installed. Only its buffers are made under a handler of errors; the kernel is compiled at the first sum. vLLM itself
    turns FlashInfer's other kernels off where it finds no compiler (utils/flashinfer.py, has_flashinfer).
    """
    quiet = {variables.flashinfer_sampler: "0", variables.deep_gemm: "0"}
    return {**quiet, variables.flashinfer_sums: "0"} if devices > 1 else quiet


def ready_kernels(flags: Flags) -> dict[str, str]:
    """Return the options by which vLLM on CUDA takes kernels that need no compiler of CUDA's.

    layers/mamba/gdn/qwen_gdn_linear_attn.py, _resolve_gdn_prefill_backend: on Hopper, prompts go through FlashInfer's
    gated delta rule, whether it can be compiled or not. Qwen3-Next and Qwen3.5 have such layers; to models without them
    the option says nothing.
    """
    return {flags.delta_rule: "triton"}


def unfit_packages(accelerator: Accelerator, packages: Mapping[str, str]) -> tuple[str, ...]:
    """Return, in words, the packages of a lock that do not fit together; `packages` has versions by name."""
    return (
        *_compilers(packages),
        *_same_files(packages),
        *_of_another_cuda(packages),
        *_bindings(packages),
        *_humming(packages),
        *_flashinfer(packages),
        *_ready_built(packages),
        *_driver(accelerator, packages),
        *_torch(accelerator, packages),
    )


def lacking(
    version: str, accelerator: Accelerator, names: Collection[str], facts: ModelFacts
) -> str:
    """Return the package that the model's code imports without asking whether it is there, and that a lock lacks.

    On CUDA it may be FlashInfer, for kernels that are taken from it whatever is set; the engine ends with its first
    request at the latest. Everywhere it may be torchvision.
    """
    needed = {
        _FLASHINFER: table_of(version).flashinfer
        if accelerator is Accelerator.CUDA
        else frozenset(),
        vllm_torchvision.PACKAGE: vllm_torchvision.ARCHITECTURES,
    }
    lacked = (each for each, models in needed.items() if each not in names)
    return next((each for each in lacked if needed[each].intersection(facts.architectures)), "")


def _compilers(packages: Mapping[str, str]) -> Iterator[str]:
    """Compiler and headers must be of one version of CUDA, to the minor one.

    NVIDIA CCCL, libcudacxx/include/cuda/std/__cccl/cuda_toolkit.h: "CUDA compiler and CUDA toolkit headers are
    incompatible" unless both are equal.
    """
    for suffix in _SUFFIXES:
        headers = packages.get(_HEADERS + suffix)
        for name in (each + suffix for each in _COMPILERS):
            if headers and name in packages and _minor(packages[name]) != _minor(headers):
                yield (
                    f"{name} {packages[name]} compiles nothing with the headers of "
                    f"{_HEADERS}{suffix} {headers}"
                )


def _same_files(packages: Mapping[str, str]) -> Iterator[str]:
    """A library for CUDA 12 and the same one for CUDA 13 have the same files, such as `nvidia/nccl/lib/libnccl.so.2`.

    Each file is of the package that was installed last.
    """
    _, older, newer = _SUFFIXES
    for name in packages:
        stem = name.removesuffix(older)
        other = stem + newer
        if stem != name and other in packages and stem not in _SIDE_BY_SIDE:
            yield f"{name} {packages[name]} has the same files as {other} {packages[other]}"


def _of_another_cuda(packages: Mapping[str, str]) -> Iterator[str]:
    """A library looks for the others of its own major version of CUDA, and a build for the libraries that torch loads.

    An index with builds for several versions names theirs behind the version, such as `2.13.0+cu126`.
    """
    headers = next((_HEADERS + each for each in _SUFFIXES if _HEADERS + each in packages), "")
    major = packages.get(headers, "").split(".")[0]
    for name, version in packages.items() if major.isdecimal() else ():
        stem, cu, suffix = name.rpartition("-cu")
        beside = f"{stem}-cu{major}" in packages or stem in (*_SIDE_BY_SIDE, *_COMPILERS, _HEADERS)
        own = suffix if cu and not beside else ""
        if built := _BUILT_FOR.search(version):
            own = built[1]
        if own.isdecimal() and own != major:
            yield f"{name} {version} is for CUDA {own}, and {headers} {packages[headers]} for CUDA {major}"


def _bindings(packages: Mapping[str, str]) -> Iterator[str]:
    """Both bring the modules `cuda.bindings`: the older one whole, the newer one by the other, of its own version.

    Of two versions, each module is of the package that was installed last, and asks for the libraries of its CUDA.
    """
    whole, split = (packages.get(name) for name in _BINDINGS)
    if whole and split and _minor(whole) != _minor(split):
        yield f"{_BINDINGS[0]} {whole} has other modules `cuda.bindings` than {_BINDINGS[1]} {split}"


def _humming(packages: Mapping[str, str]) -> Iterator[str]:
    """vLLM 0.32, layers/quantization/utils/humming/priority.py: on Hopper, Humming comes before Marlin.

    It compiles its kernels by a program that opens NVRTC by its path (humming/utils/nvrtc.py). NVRTC looks for its own
    second library where the system's libraries are.
    """
    if _HUMMING in packages:
        yield (
            f"{_HUMMING} {packages[_HUMMING]} compiles kernels at the start, with an NVRTC that does not find its "
            "libraries"
        )


def _flashinfer(packages: Mapping[str, str]) -> Iterator[str]:
    """vLLM 0.32, platforms/cuda.py, get_valid_backends: FlashInfer's attention counts where the package is installed.

    On devices of compute capability 10 it comes first, and whether it can be compiled is not asked. Other kernels are
    on where a host has CUDA's compiler (utils/flashinfer.py, has_flashinfer), and FlashInfer needs a C++ compiler too.
    """
    if _FLASHINFER in packages and not packages.keys() >= set(_READY_BUILT):
        yield (
            f"{_FLASHINFER} {packages[_FLASHINFER]} compiles kernels where they are first needed, with a compiler "
            "that hosts do not have"
        )


def _ready_built(packages: Mapping[str, str]) -> Iterator[str]:
    """FlashInfer loads ready-built kernels of exactly its own version (flashinfer/jit/env.py)."""
    wanted = packages.get(_FLASHINFER)
    for name in _READY_BUILT:
        found = packages.get(name)
        if found and found.split("+")[0] != wanted:
            yield f"{name} {found} has kernels for another {_FLASHINFER} than {wanted or 'none'}"


def _driver(accelerator: Accelerator, packages: Mapping[str, str]) -> Iterator[str]:
    """A driver runs programs of its own major version of CUDA and of older ones."""
    driver, runtime = accelerator.traits.driver, packages.get(_HEADERS)
    major = (runtime or "").split(".")[0]
    if driver and major.isdecimal() and int(major) > int(driver.runtime.split()[-1]):
        yield (
            f"{_HEADERS} {runtime} needs a newer {driver.name} than {driver.oldest}, which runs "
            f"{driver.runtime}"
        )


def _torch(accelerator: Accelerator, packages: Mapping[str, str]) -> Iterator[str]:
    """An index that has builds for other accelerators names them behind the version (PEP 440, local versions)."""
    version = packages.get("torch", "")
    _, built_for, local = version.partition("+")
    if accelerator is Accelerator.CUDA and built_for and not local.startswith("cu"):
        yield f"torch {version} cannot compute on CUDA"


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
