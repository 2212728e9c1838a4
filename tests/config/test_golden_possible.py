"""Whether any answer can be as expected by patterns, parts and lengths: what is said to be impossible is."""

from __future__ import annotations

import itertools
import random
import re
import time
import warnings

import pytest

from toolkit.config.golden.possible import is_possible
from toolkit.domain.gates.golden import Expectation, Range


def of(
    regex: str | None = None,
    contains: tuple[str, ...] = (),
    lacks: tuple[str, ...] = (),
    length: tuple[float | None, float | None] | None = None,
) -> Expectation:
    bounds = Range(*length) if length else None
    return Expectation(regex=regex, contains=contains, lacks=lacks, length=bounds)


IMPOSSIBLE = [
    of(r"a^b"), of(r"$x"), of(r"(?!)"), of(r"a(?!)b"), of(r"x\Ay"), of(r"\Zx"), of(r"(?!.*)a"), of(r"(?:a^|$b)c"),
    of(r"(?m)a^b"), of(r"(?m)$x"), of(r"a\bb"), of(r"a\B b"), of(r"[^\s\S]"),
    # Answers are compared without the spaces around them.
    of(r"^ a"), of(r"a $"), of(r"^\n"),
    of(r"^\d+$", ("x",)), of(r"^yes$", ("no",)), of(r"^[A-Z]+$", ("ab",)), of(r"(?i)^[a-z]+$", ("1",)),
    of(r"^\S+$", ("a b",)), of(r"^(yes|no)$", lacks=("e", "n")), of(r"abc", lacks=("b",)),
    of(r"^\d{3}$", length=(None, 2)), of(r"^.{5}$", length=(6, None)), of(r"a{3,}", length=(None, 2)),
    of(r"(?s)^.{3}$", length=(4, None)), of(r"^(aa)+$", length=(3, 3)), of(r"^a$", ("b",), length=(3, None)),
    of(None, ("abc", "def"), length=(None, 5)),
]  # fmt: skip
POSSIBLE = [
    of(r"(?m)a\n^b"), of(r"(?m)a$\nb"), of(r"a|$x"), of(r"\bfoo\b"), of(r"\$x"), of(r"[$]x"), of(r"[^a]"), of(r"^é+$"),
    of(r"^[^é]+$"), of(r"(?x) a b # x"), of(r"a{2000}"), of(r"(?>a+)b"), of(r"a++b"), of(r"^\s*a"), of(r"(?=b)a"),
    of(r"^\d+$", ("12",)), of(r"(?i)^YES$", ("yes",)), of(r"(a)\1", ("b",)), of(r"^(?!no).*$", ("yes",)),
    of(r"(?s)^.*$", ("a\nb",)), of(r"\w{3}", ("é",)), of(r"(?i)^k$", lacks=("k", "K")), of(r"[à-ü]", lacks=("é",)),
    of(r"^(?:Paris|Lyon)\.?$", ("Paris",)), of(r"(?i)straße", ("STRASSE",)),
    of(r"^.*$", ("a", "b", "c"), length=(900, 1000)), of(r"^(aa)+$", length=(3, 4)), of(r"x*", length=(5, None)),
    of(r"", length=(2000, None)), of(None, ("ab", "bc"), length=(None, 3)), of(r"^(\w+ ){0,60}\w+$", ("a", "b")),
]  # fmt: skip


@pytest.mark.parametrize("expect", IMPOSSIBLE, ids=str)
def test_what_no_text_can_be_is_found(expect: Expectation) -> None:
    assert not is_possible(expect)


@pytest.mark.parametrize("expect", POSSIBLE, ids=str)
def test_what_a_text_may_be_is_not_refused(expect: Expectation) -> None:
    assert is_possible(expect)


def test_what_would_take_long_is_taken_for_possible_soon() -> None:
    """Of a file of 2,000 prompts each is looked at."""
    texts = tuple(f"{letter} and so on, " * 6 for letter in "abcd")
    long = of(r"^.{0,400}$", texts, ("e" * 4000, "f" * 90), (None, 1000))
    # By the processor's time: a busy machine makes nothing slow.
    began = time.process_time()
    assert is_possible(long)
    assert time.process_time() - began < 20


ATOMS = [
    "a", "b", "1", " ", "-", r"\n", "^", "$", r"\A", r"\Z", r"\b", r"\B", r"\d", r"\W", r"\s", ".", "[ab]", "[^a]",
    "(?!)", "(?=a)", "(?!b)", "(a)", r"(?:b|$)", "|",
]  # fmt: skip
TEXTS = sorted(
    {
        text
        for size in (1, 2, 3)
        for letters in itertools.product("ab1 \n-", repeat=size)
        if (text := "".join(letters)) == "".join(letters).strip()
    }
)


def drawn(draw: random.Random) -> str:
    parts = (
        draw.choice(ATOMS) + draw.choice(("", "", "", "", "*", "?", "{2}"))
        for _ in range(draw.randint(1, 5))
    )
    return draw.choice(("", "", "(?m)", "(?s)", "(?i)")) + "".join(parts)


def test_no_text_is_as_was_said_to_be_impossible() -> None:
    draw, impossible = random.Random(7), 0
    for _ in range(600):
        pattern = drawn(draw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = re.compile(pattern)
            except re.error:
                continue
        contains, lacks = (tuple(draw.sample("ab1-", draw.choice((0, 0, 1)))) for _ in range(2))
        most = draw.choice((None, None, 1, 2))
        expect = of(pattern, contains, lacks, (None, most) if most else None)
        if is_possible(expect):
            continue
        impossible += 1
        for text in TEXTS:
            fits = all(each in text for each in contains) and not any(x in text for x in lacks)
            fits = fits and (most is None or len(text) <= most)
            assert not (fits and found.search(text)), (expect, text)
    assert impossible > 100
