"""A document's output is compared word by word, and figures by their kind."""

from __future__ import annotations

import pytest

from tests.walk.shown import like

STATUS = """\
MODEL  VERSION  RELEASE  TRAFFIC  MEMORY   UP
tiny   v1       #1       100%     2.55 GB  3 min 19 s
"""


@pytest.mark.parametrize(
    ("shown", "said", "alike"),
    [
        (STATUS, STATUS, True),
        (STATUS, STATUS.replace("2.55 GB  3 min 19 s", "15.8 MB  3.8 s"), True),
        (STATUS, STATUS.replace("MODEL  ", "MODEL      "), True),
        (STATUS, STATUS.replace("v1", "v2"), False),
        (STATUS, STATUS.replace("#1", "#2"), False),
        (STATUS, STATUS.replace("MEMORY", "STORE"), False),
        (STATUS, STATUS + "another\n", True),
        (STATUS, STATUS.replace("tiny", "big\ntiny"), False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nd\n", True),
        ("a\n…\nd\n", "a\nb\nc\n", False),
        ("main a09a3545  12 behind", "main bb46c15e  3 behind", True),
        ("main a09a3545  12 behind", "main unknown  3 behind", False),
        ("at 2026-11-22T13:04:50Z", "at 2027-01-02T03:04:05Z", True),
        ("took 1.0 s", "took 2 min 25 s", True),
        ("took 1.0 s", "took long", False),
        ("1 host", "10 hosts", False),
        ("listens at 127.0.0.1:8080", "listens at 127.0.0.1:9000", False),
    ],
)
def test_words_are_exact_and_figures_are_not(shown: str, said: str, alike: bool) -> None:
    assert like(shown, said) is alike
