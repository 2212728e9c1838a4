"""What several hosts say alike is said once, with their names."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from toolkit.domain.said_once import said_once


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, []),
        ({"a": "a has none"}, [("a", "a has none")]),
        ({"a": "no room", "b": "no room"}, [("a b", "no room")]),
        (
            {"a": "no room", "b": "no driver", "c": "no room"},
            [("a c", "no room"), ("b", "no driver")],
        ),
        (
            {"gpu1": "tiny does not fit on gpu1: no", "gpu2": "tiny does not fit on gpu2: no"},
            [("gpu1 gpu2", "tiny does not fit on gpu1, gpu2: no")],
        ),
        # Parts of other names, and other hosts, stay what they are.
        (
            {"gpu": "gpu has gpu-0 and my.gpu", "tpu": "tpu has gpu-0 and my.gpu"},
            [("gpu tpu", "gpu, tpu has gpu-0 and my.gpu")],
        ),
        (
            {"a": "a waits for c", "b": "b waits for d"},
            [("a", "a waits for c"), ("b", "b waits for d")],
        ),
        ({"a.b": "on a.b.", "axb": "on axb."}, [("a.b axb", "on a.b, axb.")]),
    ],
)
def test_words_that_differ_in_the_hosts_name_alone_are_said_once(
    words: Mapping[str, str], said: list[tuple[str, str]]
) -> None:
    assert [(" ".join(each.hosts), each.words) for each in said_once(words)] == said


def test_another_word_can_stand_for_the_names() -> None:
    words = {name: f"it does not fit on {name}" for name in ("a", "b")}
    (said,) = said_once(words, lambda _: "any of them")
    assert said.words == "it does not fit on any of them"
