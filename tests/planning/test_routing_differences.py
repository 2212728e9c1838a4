"""What routers are sent of files that they have: no more than what differs, and never on other files."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from tests.planning.rendered import render_files
from toolkit.hostside.splices import Stale, spliced
from toolkit.planning.routing.differences import digest_of, file_edits, splices
from toolkit.planning.routing.files import Rendering
from toolkit.planning.routing.routes import Route, Routes, Target


def fleet(count: int, weight: int) -> Routes:
    """Return the routes of so many hosts; the first one's blue slot has this weight."""
    targets = [
        Target(slot, 8100, 100 if slot == "blue" else 0, f"gpu{number}", f"10.0.0.{number}:8443")
        for number in range(count)
        for slot in ("blue", "green")
    ]
    return Routes((Route("tiny", (replace(targets[0], weight=weight), *targets[1:]), created=1),))


@pytest.mark.parametrize(
    ("former", "text", "wanted"),
    [
        ("a\nb\n", "a\nb\n", []),
        ("a\nb\nc\nd\n", "a\nB\nC\nd\n", [(1, 3, "B\nC\n")]),
        ("a\nb\nc\n", "A\nb\nC\n", [(2, 3, "C\n"), (0, 1, "A\n")]),
        ("a\nb\nc\n", "a\nx\ny\nc\n", [(1, 2, "x\ny\n")]),
        ("a\nb\n", "a\n", [(1, 2, "")]),
        ("", "a\n", [(0, 0, "a\n")]),
        ("a\n", "", [(0, 1, "")]),
        # The same line at both ends belongs to one of them.
        ("a\n", "a\na\n", [(1, 1, "a\n")]),
    ],
)
def test_only_lines_that_differ_are_named(
    former: str, text: str, wanted: list[tuple[int, int, str]]
) -> None:
    assert splices(former, text) == wanted


def test_any_text_becomes_any_other() -> None:
    chance = random.Random(7)
    for _ in range(300):
        before, after = (
            "".join(chance.choice("abc\n") for _ in range(chance.randrange(30))) for _ in range(2)
        )
        files = {"x": after, "new": "whole"}
        edits = json.loads(json.dumps(file_edits({"x": before}, files)))
        assert spliced({"new": "whole"}, edits, {"x": before}) == files


def test_a_host_with_another_text_refuses() -> None:
    edits = {
        "x": {"of": digest_of("a\n"), "splices": []},
        "y": {"of": digest_of(""), "splices": []},
    }
    assert spliced({}, edits, {"x": "a\n", "y": ""}) == {"x": "a\n", "y": ""}
    for other in ("b\n", None):
        with pytest.raises(Stale) as caught:
            spliced({}, edits, {"x": other, "y": ""})
        assert caught.value.args == (["x"],)


def test_what_is_sent_of_a_change_does_not_grow_with_the_fleet() -> None:
    sent = {}
    for count in (8, 400):
        before, after = (Rendering(fleet(count, weight)) for weight in (100, 0))
        sent[count] = len(json.dumps(file_edits(before.at("gpu1"), after.at("gpu1"))))
    assert sent[400] < sent[8] + 50 < 2500


def test_what_is_rendered_for_many_hosts_is_what_each_gets_alone() -> None:
    routes = fleet(4, 50)
    shared = Rendering(routes)
    for host in ("", "gpu0", "gpu3", "elsewhere"):
        assert shared.at(host) == render_files(routes, host)
    assert json.loads(shared.at("gpu3")["routes.json"]) == routes.as_json("gpu3")
