"""What makes a host look as if it had GPUs, to the toolkit: the driver's tool, and what a CUDA engine needs there."""

from __future__ import annotations

from tests.fleet.machine import Machine

DEVICES = 8
# index, name, memory in MiB, free, driver, temperature, errors, pending, failure, reserved, MIG
ROW = "{index}, NVIDIA H200, 143771, 143142, 580.95.05, 34, 0, No, No, 628, Disabled"
_TOOL = """#!/bin/sh
case "$*" in
*--query-gpu*) cat <<'END'
{rows}
END
esac
"""
# Any library loads; the stub of the engine uses none of them.
_LIBRARIES = (
    "cd /usr/lib/x86_64-linux-gnu && ln -s libnuma.so.1 libcuda.so.1 && ldconfig; "
    "mkdir -p /usr/include/python3.11; touch /usr/include/stdlib.h /usr/include/python3.11/Python.h; "
    "ln -s /bin/true /usr/bin/cc"
)


def pretend_gpus(machine: Machine) -> None:
    """Give a host eight devices that nobody can compute on."""
    rows = "\n".join(ROW.format(index=index) for index in range(DEVICES))
    script = 'printf %s "$1" >/usr/bin/nvidia-smi; chmod 755 /usr/bin/nvidia-smi; ' + _LIBRARIES
    machine.run("sh", "-c", script, "sh", _TOOL.format(rows=rows))
