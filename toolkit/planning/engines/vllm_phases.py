"""The phases of vLLM's start, as its log tells them."""

from __future__ import annotations

# In their order, each with words of the lines that begin it or belong to it. Lines of vLLM 0.31 to 0.33.
PHASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("importing", ()),
    ("starting the engine's processes", ("Initializing a V1 LLM engine", "world_size=")),
    (
        "loading weights",
        (
            "Starting to load model",
            "Loading safetensors checkpoint",
            "Loading weights took",
            "Filesystem type for checkpoints",
            "Model loading took",
        ),
    ),
    (
        "compiling",
        (
            "torch.compile takes",
            "Compiling a graph",
            "Dynamo bytecode transform",
            "for vLLM's torch.compile",
        ),
    ),
    ("measuring memory", ("Available KV cache memory", "KV cache size:", "GiB for KV cache")),
    ("capturing graphs", ("Capturing CUDA graph", "Graph capturing finished", "Autotuning")),
    (
        "warming up",
        (
            "init engine (profile",
            "Starting vLLM server",
            "Supported tasks",
            "Available routes are",
            "launcher.py",
            "Waiting for application startup",
        ),
    ),
)


def phase_of(line: str) -> int:
    """Return the number of the phase that a line of the log belongs to; 0, the first one, where it names none."""
    found = (
        number for number, (_, words) in enumerate(PHASES) if any(each in line for each in words)
    )
    return next(found, 0)
