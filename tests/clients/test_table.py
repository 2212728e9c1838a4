"""A client's cell is right only where its evidence is; a refusal only where its words are the right ones."""

from __future__ import annotations

import pytest

from tests.clients.table import (
    BEGIN,
    CLIENTS,
    COLUMNS,
    END,
    Outcome,
    cell,
    fault,
    insert,
    render,
)

ANSWERS = {"v1": "I am v1.", "v2": "I am v2."}
RIGHT = (
    ("chat", Outcome("I am v2.")),
    ("stream", Outcome("I am v1.", parts=3)),
    ("tools", Outcome({"name": "note", "arguments": {"ok": True}})),
    ("JSON schema", Outcome({"ok": False})),
    ("usage", Outcome([12, 5])),
    ("embeddings", Outcome(refused="NotFoundError", words="This model makes no embeddings.")),
    ("errors", Outcome(refused="NotFoundError", words="The model `nobody` does not exist.")),
    ("keys", Outcome(refused="AuthenticationError", words="Incorrect API key provided.")),
)
WRONG = (
    ("chat", Outcome("I am v3."), "answered 'I am v3.'"),
    ("chat", Outcome(refused="Timeout", words="too long"), "Timeout: too long"),
    ("stream", Outcome("I am v", parts=3), "answered 'I am v'"),
    ("tools", Outcome({"name": "other", "arguments": {"ok": True}}), "answered"),
    ("JSON schema", Outcome({"ok": "yes"}), "answered"),
    ("usage", Outcome([12, 0]), "answered [12, 0]"),
    ("errors", Outcome("I am v2."), "answered 'I am v2.'"),
    ("keys", Outcome(refused="NotFoundError", words="no such page"), "refused with"),
)


@pytest.mark.parametrize(("column", "outcome"), RIGHT)
def test_right_outcomes_have_no_fault(column: str, outcome: Outcome) -> None:
    assert fault(column, outcome, ANSWERS) == ""


@pytest.mark.parametrize(("column", "outcome", "words"), WRONG)
def test_wrong_outcomes_are_named(column: str, outcome: Outcome, words: str) -> None:
    assert fault(column, outcome, ANSWERS).startswith(words)


def test_the_table_has_a_cell_for_each_column() -> None:
    refusal = Outcome(refused="NotFoundError", words="nobody")
    row = {"chat": cell("chat", Outcome("I am v2.")), "errors": cell("errors", refusal)}
    lines = render({"curl": row}).splitlines()
    assert lines[0] == f"| client | {' | '.join(COLUMNS)} |"
    assert lines[2] == "| curl | works | – | – | – | – | – | refused: NotFoundError | – | – |"


def test_the_page_keeps_all_but_its_table() -> None:
    assert insert(f"a\n{BEGIN}old\n{END}b\n", "new\n") == f"a\n{BEGIN}\nnew\n\n{END}b\n"
    with pytest.raises(ValueError, match="no place"):
        insert("a\n", "new\n")


def test_twelve_clients_differ() -> None:
    assert len({client.title for client in CLIENTS}) == 12
