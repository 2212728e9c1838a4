"""Run by an engine's Python: whether vLLM would compile kernels on a Hopper device of a host with the driver alone.

The CPU build has the Python code of the CUDA build, so no GPU is needed: only questions about the device are answered
here. Prints a JSON object; `released` and `bare` are true where vLLM would use what needs CUDA's compiler. `experts` is
what multiplies experts in 4 bits, as in a lock without Humming and with it. `keys` are the keys of compiled
graphs for the snapshots that are arguments, each as a replica names it and by its whole path.
"""

import importlib.util
import json
import os
import sys
from unittest import mock

from vllm import platforms
from vllm.config import ModelConfig
from vllm.model_executor.layers.fused_moe.oracle import int_wna16
from vllm.platforms.interface import DeviceCapability
from vllm.utils import deep_gemm, flashinfer
from vllm.utils.import_utils import has_humming
from vllm.v1.sample.ops import topk_topp_sampler

QUIET = ("VLLM_USE_FLASHINFER_SAMPLER", "VLLM_USE_DEEP_GEMM")
HOPPER = mock.Mock()
HOPPER.is_cuda.return_value = HOPPER.support_deep_gemm.return_value = True
HOPPER.get_device_capability.return_value = DeviceCapability(9, 0)
HOPPER.is_cpu.return_value = HOPPER.is_rocm.return_value = HOPPER.is_xpu.return_value = False
HOPPER.num_compute_units.return_value = 132


def sampler():
    with mock.patch.object(topk_topp_sampler, "current_platform", HOPPER):
        try:
            return topk_topp_sampler.flashinfer_sampler_supported()
        except ImportError:
            # The CPU build comes without FlashInfer, and here vLLM wanted it.
            return True


def multiplication():
    deep_gemm.is_deep_gemm_supported.cache_clear()
    with (
        mock.patch.object(deep_gemm, "current_platform", HOPPER),
        mock.patch.object(deep_gemm, "has_deep_gemm", return_value=True),
    ):
        return deep_gemm.is_deep_gemm_supported()


def other_kernels():
    """FlashInfer is installed, its ready-built kernels and CUDA's compiler are not."""
    os.environ["CUDA_HOME"] = "/nonexistent"
    flashinfer.has_flashinfer.cache_clear()
    flashinfer.has_flashinfer_cubin.cache_clear()
    with mock.patch.object(importlib.util, "find_spec", lambda name: name == "flashinfer" or None):
        return flashinfer.has_flashinfer()


def experts(humming):
    with (
        mock.patch.object(int_wna16, "current_platform", HOPPER),
        mock.patch.object(platforms, "_current_platform", HOPPER),
    ):
        backends = int_wna16._get_priority_backends()
    return next(
        each.value
        for each in backends
        if each.value in ("HUMMING", "MARLIN")
        and any(supported(kind, humming) for kind in int_wna16.backend_to_kernel_cls(each))
    )


def supported(kind, humming):
    module = sys.modules[kind._supports_current_device.__module__]
    with (
        mock.patch.object(module, "current_platform", HOPPER),
        mock.patch.object(module, "has_humming", lambda: humming, create=True),
    ):
        return kind._supports_current_device()


def keys(snapshot):
    os.chdir(snapshot)
    return [ModelConfig(model=path).compute_hash() for path in (".", snapshot)]


released = {"sampler": sampler(), "multiplication": multiplication(), "other": other_kernels()}
for name in QUIET:
    del os.environ[name]
bare = {"sampler": sampler(), "multiplication": multiplication()}
chosen = [experts(humming) for humming in (has_humming(), True)]
print(
    json.dumps(
        {
            "released": released,
            "bare": bare,
            "experts": chosen,
            "keys": list(map(keys, sys.argv[1:])),
        }
    )
)
