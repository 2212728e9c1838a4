"""The figures that only this ops machine has, in Prometheus's text format: its schedule, and the records of use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.hostside.exposition import heading, sample

# The file that a node exporter on the ops machine reads.
FILE = "textfile/toolkit.prom"


def render_ops(
    now: float, due: Mapping[str, float], differences: Sequence[tuple[str, str, int, int]]
) -> str:
    """Return the text of the file.

    `due` has for each window of the schedule the end of its next opening, in seconds since the epoch: where nothing has
    run until then, it was missed. `differences` are model, version, release, and the tokens by which the records of use
    differ from what engines counted.
    """
    lines = _gauge(
        "toolkit_ops_written_timestamp_seconds", "When a command last wrote these.", [({}, now)]
    )
    lines += _gauge(
        "toolkit_schedule_due_timestamp_seconds",
        "When the next opening of a window ends in which nothing has run.",
        [({"window": window}, closes) for window, closes in sorted(due.items())],
    )
    lines += _gauge(
        "toolkit_use_difference_tokens",
        "Tokens that engines counted and no record of use has.",
        [
            ({"model": model, "version": version, "release": str(release)}, float(tokens))
            for model, version, release, tokens in differences
        ],
    )
    return "\n".join(lines) + "\n"


def _gauge(name: str, words: str, samples: Sequence[tuple[dict[str, str], float]]) -> list[str]:
    if not samples:
        return []
    return [
        *heading(name, words, "gauge"),
        *(sample(name, labels, value) for labels, value in samples),
    ]
