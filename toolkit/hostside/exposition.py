"""The text format in which Prometheus reads figures.

This module imports no sibling, so that the ops machine writes its own figures with it.
"""

from __future__ import annotations


def heading(name: str, words: str, kind: str) -> list[str]:
    """Return the lines above the samples of a metric; `kind` is `counter`, `gauge` or `histogram`."""
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]


def sample(name: str, labels: dict[str, str], value: float) -> str:
    """Return the line of a sample."""
    told = ",".join(f'{each}="{_escaped(text)}"' for each, text in labels.items())
    return f"{name}{{{told}}} {value!r}" if told else f"{name} {value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
