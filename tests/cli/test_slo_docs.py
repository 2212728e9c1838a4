"""The example of docs/observability.md is what the command says, and its table of what counts is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toolkit.cli.views.objectives import Source, show
from toolkit.domain.clients.tally import Tally
from toolkit.domain.registry.objective import Objective, Promise
from toolkit.planning.objectives.attained import Lived, attained
from toolkit.planning.objectives.counting import counted
from toolkit.planning.objectives.measured import Measured

TEXT = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
EXAMPLE = TEXT.split("### An example")[1].split("### How it is counted")[0]
UNTIL = 498_611
TODAY = (UNTIL - 12) * 3600.0


def rows(text: str) -> list[list[str]]:
    """Return the cells of the table in a part of the document, its header first."""
    lines = [each for each in text.splitlines() if each.startswith("|")]
    return [
        [cell.strip() for cell in each.strip("|").split("|")] for each in lines if "---" not in each
    ]


def test_the_example_is_what_the_command_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    header, *lines = rows(EXAMPLE)
    versions = {"3": "2.5", "4": "2.6", "none": ""}
    tallies = [
        Tally(
            UNTIL - 24 * (int(day) - 1) - 5,
            "gpu1",
            "qwen-7b",
            versions[release],
            int(release) if release != "none" else 0,
            {how: int(n) for how, n in zip(header[2:], counts, strict=True) if int(n)},
        )
        for release, day, *counts in lines
    ]
    lived = (Lived(3, "2.5", TODAY - 27 * 86_400), Lived(4, "2.6", TODAY))
    found = attained(Objective(Promise.AVAILABILITY, 0.995), tallies, UNTIL, lived)
    show([Measured("qwen-7b", 28, UNTIL * 3600.0, (found,), ())], Source())
    said = [each.rstrip() for each in capsys.readouterr().out.splitlines()]
    assert said == EXAMPLE.split("```")[1].strip("\n").splitlines()
    assert max(map(len, said)) <= 80


# A request of each row of the document, as it is tallied: by the router's log, and by its counters where no line is.
LOGGED = {
    "answered whole": ("200", "good"),
    "status 5xx, also of the router where no replica is up": ("503:no_replica", "bad"),
    "closed without an answer, because the replica or the link to its host was lost": (
        "502:replica_broke_off",
        "bad",
    ),
    "the replica broke off amid the answer": ("200:replica_broke_off", "bad"),
    "503 `model_asleep`: the operator has put the model to sleep": ("503:model_asleep", "left out"),
    "503 `not_awake_in_time`: it was to wake and did not": ("503:not_awake_in_time", "bad"),
    "429 because the model is overloaded": ("429", "bad"),
    "the client hung up": ("499:client_left", "left out"),
    "over the key's own limit or quota, wrong or no key": ("429:quota_exceeded", "left out"),
    "bad request, unknown model, too large (other 4xx)": ("404", "left out"),
}


def test_the_table_of_what_counts_is_what_is_counted() -> None:
    part = TEXT.split("### What counts")[1].split("### An example")[0]
    table = {request: cell for request, cell, *_ in rows(part)[1:]}
    del table["probes, checks and gates of the toolkit"]
    assert table.keys() == LOGGED.keys()
    for request, (logged, expected) in LOGGED.items():
        found = counted({logged: 1}, Objective(Promise.AVAILABILITY, 0.99))
        said = "good" if found.good else "bad" if found.bad else "left out"
        assert (table[request], said) == (expected, expected), request


def test_the_registry_of_the_document_is_one_of_the_schema() -> None:
    from toolkit.config.registry.objectives import ObjectivesSpec
    from toolkit.config.yaml_text import read_yaml

    block = re.findall(r"```yaml\n(models:.*?)```", TEXT, re.S)[0]
    document, faults = read_yaml(Path("model_registry.yaml"), block)
    assert not faults
    spec = ObjectivesSpec.model_validate(document.data["models"]["qwen-7b"]["objectives"])
    assert [each.promise for each in spec.in_domain("qwen-7b", "").each] == list(Promise)
