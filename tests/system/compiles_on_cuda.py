"""Run by an engine's Python: whether vLLM would compile kernels on a Hopper device of a host with the driver alone.

The CPU build has the Python code of the CUDA build, so no GPU is needed: only questions about the device are answered
here. Prints a JSON object; `released` and `bare` are true where vLLM would use what needs CUDA's compiler. `experts` is
what multiplies experts in 4 bits, as in a lock without Humming and with it. `rules` is what computes the prompts of
models with gated delta rules, by the options of a release, in OPTIONS, and by none. `keys` are the keys of compiled
graphs for the snapshots that are arguments, each as a replica names it and by its whole path.
"""

import importlib.util
import json
import os
import shlex
import sys
from types import SimpleNamespace
from unittest import mock

from vllm import envs, platforms
from vllm.config import ModelConfig
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.layers.fused_moe.oracle import int_wna16
from vllm.model_executor.layers.mamba.gdn import qwen_gdn_linear_attn
from vllm.platforms.interface import DeviceCapability
from vllm.utils import deep_gemm, flashinfer
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.utils.import_utils import has_humming
from vllm.v1.sample.ops import topk_topp_sampler

QUIET = ("VLLM_USE_FLASHINFER_SAMPLER", "VLLM_USE_DEEP_GEMM", "VLLM_ALLREDUCE_USE_FLASHINFER")
HOPPER = mock.Mock()
HOPPER.is_cuda.return_value = HOPPER.support_deep_gemm.return_value = True
HOPPER.get_device_capability.return_value = DeviceCapability(9, 0)
HOPPER.is_cpu.return_value = HOPPER.is_rocm.return_value = HOPPER.is_xpu.return_value = False
HOPPER.is_device_capability.side_effect = lambda wanted: wanted == 90
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


def rule(words):
    """Return what computes the prompts of a model with gated delta rules, by the options in `words`."""
    parser = EngineArgs.add_cli_args(FlexibleArgumentParser())
    said, _ = parser.parse_known_args(words)
    stated = said.gdn_prefill_backend
    config = mock.Mock(
        additional_config={"gdn_prefill_backend": stated} if stated else {},
        model_config=SimpleNamespace(hf_text_config=SimpleNamespace(linear_key_head_dim=128)),
    )
    with mock.patch.object(qwen_gdn_linear_attn, "current_platform", HOPPER):
        return qwen_gdn_linear_attn._resolve_gdn_prefill_backend(config)[1]


def keys(snapshot):
    os.chdir(snapshot)
    return [ModelConfig(model=path).compute_hash() for path in (".", snapshot)]


def compiled():
    # vLLM looks at its variable alone: FlashInfer is installed, and the kernel is compiled at the first sum.
    sums = envs.VLLM_ALLREDUCE_USE_FLASHINFER
    return {"sampler": sampler(), "multiplication": multiplication(), "sums": sums}


released = {**compiled(), "other": other_kernels()}
for name in QUIET:
    del os.environ[name]
bare = compiled()
rules = [rule(words) for words in (shlex.split(os.environ["OPTIONS"]), [])]
chosen = [experts(humming) for humming in (has_humming(), True)]
print(
    json.dumps(
        {
            "released": released,
            "bare": bare,
            "experts": chosen,
            "rules": rules,
            "keys": list(map(keys, sys.argv[1:])),
        }
    )
)
