"""Columns of a terminal: what is wide, what takes none, and that folding and cutting agree with it."""

from __future__ import annotations

from textwrap import wrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.cli.terminal.columns import columns, cut, folded, padded
from toolkit.cli.terminal.table import folded_line, table_lines
from toolkit.cli.views.changes import change_lines
from toolkit.domain.deployment.change import Change

ACCENTED, FLAG, WOMAN, HEART, THUMB = "e\u0301", "\U0001f1e9\U0001f1ea", "👩‍💻", "❤️", "👍🏽"
TEXTS = st.text(
    st.sampled_from([*"ab -", "漢", "\u0301", "👍", "🏽", "\u200d", "🇩", "한", "❤", "\ufe0f"])
)


@pytest.mark.parametrize(
    ("text", "wide"),
    [
        ("", 0),
        ("abc", 3),
        ("é", 1),
        (ACCENTED, 1),
        ("漢字", 4),
        ("한국", 4),
        ("\u1112\u1161\u11ab", 2),
        ("ａ", 2),
        ("👍", 2),
        (THUMB, 2),
        (WOMAN, 2),
        (HEART, 2),
        (FLAG, 2),
        (FLAG + FLAG, 4),
        ("a\u200bb", 2),
    ],
)
def test_text_takes_the_columns_that_a_terminal_gives_it(text: str, wide: int) -> None:
    assert columns(text) == wide


@pytest.mark.parametrize("text", [ACCENTED, FLAG, WOMAN, HEART, THUMB, "漢"])
def test_what_a_reader_sees_as_one_character_is_never_cut_apart(text: str) -> None:
    for width in range(5):
        assert cut(text * 2, width) in ("", text, text * 2)
        assert columns(cut(text * 2, width)) <= width
    assert folded(text * 3, max(columns(text), 1)) == [text] * 3


@given(st.text("ab c-\t.", max_size=40), st.integers(1, 12))
@settings(max_examples=300, deadline=None)
def test_narrow_text_folds_as_pythons_textwrap_folds_it(text: str, width: int) -> None:
    assert folded(text, width) == wrap(text, width)
    indents = {"initial_indent": " ", "subsequent_indent": "  "}
    assert folded(text, width + 3, first=" ", later="  ", whole=True) == wrap(
        text, width + 3, **indents, break_long_words=False, break_on_hyphens=False
    )


@given(TEXTS, st.integers(2, 12))
@settings(max_examples=300, deadline=None)
def test_no_folded_line_is_wider_than_asked_and_nothing_is_lost(text: str, width: int) -> None:
    lines = folded(text, width)
    assert all(columns(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert columns(padded(cut(text, width), width)) == width


def test_columns_of_a_table_stand_below_each_other() -> None:
    rows = [("漢字", "one"), (ACCENTED, "two"), ("ab", "three"), (WOMAN, "four")]
    assert table_lines(("A", "B"), rows, 80) == [
        "A     B",
        "漢字  one",
        f"{ACCENTED}     two",
        "ab    three",
        f"{WOMAN}    four",
    ]


def test_a_wide_cell_folds_within_its_column() -> None:
    for width in range(20, 60):
        for line in table_lines(("NAME", "WHY"), [("alpha", "模型的许可证不允许" * 5)], width):
            assert columns(line) <= width, (width, line)


def test_lines_of_text_and_changes_fold_by_columns_too() -> None:
    line = "模型 " * 20
    assert all(columns(each) <= 30 for each in folded_line(line, 30))
    changes = [Change("模型", "a", "b"), Change("name", "a", "b")]
    assert change_lines(changes) == ("  模型  a -> b", "  name  a -> b")
