"""A repository that has another name or owner today is pinned under that, where it may be."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import pytest

from tests.workflows.pin_desk import HEAD, Desk, desk
from toolkit.domain.registry.model import HubSource
from toolkit.errors import RefusedError
from toolkit.workflows.registry.pin import pin_version

__all__ = ["desk"]


def test_a_repository_that_was_renamed_is_recorded_under_its_name_of_today(desk: Desk) -> None:
    revision = desk.publish()
    desk.hub.rename("acme/tiny", "Acme/tiny-2")
    pinned = desk.pin(name="new")
    assert pinned.notes[0] == "acme/tiny is Acme/tiny-2 on the Hub"
    assert pinned.version.source == HubSource("Acme/tiny-2")
    text, lock = desk.texts()
    assert text == HEAD + (
        f"    versions:\n      new:\n        source: {{repo: Acme/tiny-2}}\n        revision: {revision}\n"
    )
    assert "Acme/tiny-2" in lock
    assert "acme/tiny" not in lock
    again = desk.pin()
    assert (again.changed, again.notes) == (False, ("acme/tiny is Acme/tiny-2 on the Hub",))


WAITING = [
    ("      new: {revision: main}  # soon\n", "      new: {{revision: {0}, source: {{repo: acme/next}}}}  # soon\n"),
    ("      new:\n        revision: main  # soon\n        env: {TZ: UTC}\n", "      new:\n        revision: {0}  # soon\n        source: {{repo: acme/next}}\n        env: {{TZ: UTC}}\n"),
    ("      new:\n        revision: main", "      new:\n        revision: {0}\n        source: {{repo: acme/next}}"),
    ("      new:\n        source: {repo: acme/tiny}\n        revision: main\n", "      new:\n        source: {{repo: acme/next}}\n        revision: {0}\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), WAITING, ids=range(len(WAITING)))
def test_a_branch_of_a_renamed_repository_becomes_its_commit_and_its_name(
    desk: Desk, before: str, after: str
) -> None:
    revision = desk.publish()
    desk.hub.rename("acme/tiny", "acme/next")
    desk.path.write_text(f"{HEAD}    versions:\n{before}")
    assert desk.pin().version.source == HubSource("acme/next")
    assert desk.path.read_text() == f"{HEAD}    versions:\n{after.format(revision)}"


def test_a_repository_of_another_owner_is_pinned_only_where_it_is_accepted(desk: Desk) -> None:
    desk.publish()
    desk.hub.rename("acme/tiny", "mallory/tiny")
    before = desk.texts()
    with pytest.raises(RefusedError) as caught:
        desk.pin()
    assert caught.value.message == (
        "the Hub leads from acme/tiny to mallory/tiny, which is another owner's"
    )
    assert caught.value.hint == "where that is the one that is meant: --source mallory/tiny"
    assert desk.texts() == before
    asked = []

    def accept(asked_for: str, repo: str) -> bool:
        asked.append((asked_for, repo))
        return True

    pinned = pin_version(
        desk.path, "tiny", open_hub=lambda: desk.hub, report=desk.said.append, accept=accept
    )
    assert pinned.version.source == HubSource("mallory/tiny")
    assert asked == [("acme/tiny", "mallory/tiny")]


def test_the_digests_of_a_renamed_repository_are_written_with_a_remark(desk: Desk) -> None:
    desk.publish()
    desk.pin(name="new")
    desk.hub.rename("acme/tiny", "acme/next")
    (pinned,) = desk.lock("tiny@new")
    assert "acme/tiny is acme/next on the Hub" in pinned.notes
    assert pinned.version.source == HubSource("acme/tiny")
    desk.hub.rename("acme/next", "mallory/tiny")
    with pytest.raises(RefusedError, match="another owner"):
        desk.lock("tiny@new")
