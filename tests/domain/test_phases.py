"""How long the phases of a start usually take."""

from __future__ import annotations

import pytest

from toolkit.domain.replicas.start import StartRecord, usual_phases


def start(host: str, engine: str, **phases: float) -> StartRecord:
    return StartRecord("tiny", 1, host, engine, phases, 0.0)


SAME, OTHER = "vllm-0.32.0-cpu-py311-aa", "vllm-0.31.0-cpu-py311-bb"


@pytest.mark.parametrize(
    ("starts", "usual"),
    [
        ([], {}),
        ([start("a", SAME, compiling=17.0)], {"compiling": 17.0}),
        # the median of the newest five on this host
        ([start("a", SAME, compiling=each) for each in (4, 90, 5, 6, 7, 1000)], {"compiling": 6}),
        ([start("b", SAME, compiling=1), start("a", SAME, compiling=2)], {"compiling": 2}),
        ([start("b", SAME, compiling=1), start("a", OTHER, compiling=2)], {"compiling": 1}),
        ([start("b", OTHER, compiling=1)], {"compiling": 1}),
        # only the first start compiles, the next ones find its graphs
        (
            [*(start("a", SAME, importing=3) for _ in range(2)), start("a", SAME, importing=4, compiling=20)],
            {"importing": 3},
        ),
    ],
)  # fmt: skip
def test_the_usual_phases(starts: list[StartRecord], usual: dict[str, float]) -> None:
    assert usual_phases(starts, SAME, "a") == usual
