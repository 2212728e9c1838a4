"""What stops a pin leaves registry and lock alone, and says what to do."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.workflows.pin_desk import FILES, HEAD, Desk, desk
from toolkit.adapters.hub.errors import Fault, HubAddress
from toolkit.adapters.hub.port import HubFile, RepoInfo
from toolkit.config.registry.lock_file import lock_path, read_lock
from toolkit.errors import InputError, IntegrityError, RefusedError, SourceError, ToolkitError
from toolkit.workflows.registry.pin import pin_version

__all__ = ["desk"]


def test_other_bytes_at_a_pinned_revision_are_never_pinned(desk: Desk) -> None:
    revision = desk.publish()
    desk.path.write_text(HEAD + f"    versions:\n      a: {{revision: {revision}}}\n")
    desk.lock()
    before = desk.texts()
    lock = read_lock(desk.path)
    changed = [HubFile("model.safetensors", 7, "e" * 64, "")]
    desk.hub.files = lambda repo, revision: tuple(changed)  # type: ignore[method-assign]
    with pytest.raises(
        IntegrityError, match=r"model\.safetensors of tiny@a is not what was pinned"
    ):
        desk.lock("tiny@a")
    assert desk.texts() == before
    assert read_lock(desk.path) == lock


def _other_licence(desk: Desk) -> None:
    desk.publish(licence="mit")


def _denied(desk: Desk) -> None:
    desk.path.write_text(HEAD.replace("licence: apache-2.0", "licence: cc-by-nc-4.0"))
    desk.publish(licence="cc-by-nc-4.0")


def _bin_only(desk: Desk) -> None:
    desk.publish({"config.json": b"{}", "pytorch_model.bin": b"x"})


def _flipped(desk: Desk) -> None:
    desk.publish()
    desk.hub.flip_byte("acme/tiny", "config.json")


def _offline(desk: Desk) -> None:
    desk.publish()
    desk.hub.fail("acme/tiny", Fault.OFFLINE)


def _escaping(desk: Desk) -> None:
    desk.publish({**FILES, "a//evil.json": b"{}"})


STOPPED = {
    "a licence other than the registry's": (_other_licence, InputError, "acme/tiny says its licence is 'mit', and the registry says 'apache-2.0'"),
    "a licence that policy denies": (_denied, RefusedError, "the licence cc-by-nc-4.0 of tiny@x is denied by policy"),
    "weights that can run code": (_bin_only, RefusedError, "acme/tiny is refused: it has no safetensors weights, only bin"),
    "bytes that are not the commit's": (_flipped, IntegrityError, "config.json of acme/tiny is not the file that its commit"),
    "a Hub out of reach": (_offline, SourceError, ""),
    "a file that would leave the snapshot": (_escaping, SourceError, "names the file 'a//evil.json', which no snapshot may hold"),
}  # fmt: skip


@pytest.mark.parametrize(("prepare", "kind", "message"), STOPPED.values(), ids=STOPPED.keys())
def test_what_stops_a_pin_leaves_both_files_alone(
    desk: Desk, prepare: object, kind: type[ToolkitError], message: str
) -> None:
    prepare(desk)  # type: ignore[operator]
    before = desk.texts()
    with pytest.raises(kind) as caught:
        desk.pin(name="x")
    assert message in caught.value.message
    assert caught.value.hint
    assert desk.texts() == before


def test_a_licence_that_differs_is_shown_in_its_line(desk: Desk) -> None:
    desk.publish(licence="mit")
    with pytest.raises(InputError) as caught:
        desk.pin()
    assert caught.value.message.startswith(f"{desk.path}:6:14: ")
    assert caught.value.hint == "read the licence, then write `licence: mit`"


def test_a_hub_that_answers_another_commit_than_asked_is_not_believed(desk: Desk) -> None:
    revision = desk.publish()
    real = desk.hub.resolve

    def other(repo: str, ref: str) -> RepoInfo:
        return replace(real(repo, ref), revision="0" * 40)

    desk.hub.resolve = other  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="the Hub answered '0000"):
        desk.pin(revision)


ARGUMENTS = [
    ("tyni", "", "no model 'tyni' in", "did you mean tiny?"),
    ("tiny@a", "", "'tiny@a' names a version; a pin makes a new one", "toolkit registry pin tiny --as a, or tiny@a --lock-only"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "ref", "message", "hint"), ARGUMENTS)
def test_wrong_arguments_of_a_pin_are_refused(
    desk: Desk, model: str, ref: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        pin_version(desk.path, model, ref, open_hub=lambda: desk.hub, report=desk.said.append)
    assert message in caught.value.message
    assert caught.value.hint == hint


def test_a_model_without_what_a_version_needs_is_named_at_its_line(desk: Desk) -> None:
    desk.path.write_text(HEAD.replace("    openness: open-weights\n", ""))
    with pytest.raises(InputError) as caught:
        desk.pin()
    assert caught.value.message == f"{desk.path}:5:3: tiny has no 'openness'"


def test_a_commit_that_is_gone_upstream_stays_in_the_lock_as_it_is(desk: Desk) -> None:
    revision = desk.publish()
    desk.pin(name="v1")
    before = lock_path(desk.path).read_bytes()
    desk.publish({**FILES, "config.json": b"{}"})
    desk.hub.drop("acme/tiny", revision)
    (done,) = desk.lock("tiny@v1")
    assert (done.version.name, done.lock_changed) == ("v1", False)
    assert done.notes == (
        f"acme/tiny has no revision {revision}: it is gone upstream, or was never there; "
        "its digests stay in the lock as they are",
    )
    assert lock_path(desk.path).read_bytes() == before


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("", "name a branch, a tag or a commit that is there: toolkit registry pin tiny REF"),
        ("main", "name a branch, a tag or a commit that is there: toolkit registry pin tiny REF"),
        ("v9", "pin what main is now: toolkit registry pin tiny"),
        ("9" * 40, "pin what main is now: toolkit registry pin tiny"),
    ],
)
def test_no_hint_about_what_is_gone_is_the_same_command(desk: Desk, ref: str, hint: str) -> None:
    desk.publish()
    desk.hub.drop("acme/tiny", "main")
    with pytest.raises(SourceError, match="it is gone upstream, or was never there") as caught:
        desk.pin(ref)
    assert caught.value.hint == hint


@pytest.mark.parametrize("path", ["extra.json", "model.safetensors"])
def test_a_listed_file_that_is_missing_is_no_matter_of_another_pin(desk: Desk, path: str) -> None:
    """`pin again` led to the same error again and again."""
    desk.publish({**FILES, "extra.json": b"{}"})
    read, tensors = desk.hub.read_small, desk.hub.tensors

    def missing(asked: str) -> None:
        if asked == path:
            raise Fault.NO_FILE.error(HubAddress("https://hub.test", "acme/tiny", "e" * 40, path))

    desk.hub.read_small = lambda *a: (missing(a[2]), read(*a))[1]  # type: ignore[method-assign]
    desk.hub.tensors = lambda *a: (missing(a[2]), tensors(*a))[1]  # type: ignore[method-assign]
    with pytest.raises(
        SourceError, match=f"acme/tiny lists {path} at .*does not give it"
    ) as refused:
        desk.pin()
    assert "export HF_ENDPOINT=URL" in refused.value.hint
    assert not refused.value.gone


def test_a_file_of_another_size_than_listed_is_named_with_both_sizes(desk: Desk) -> None:
    desk.publish()
    listed = desk.hub.files
    desk.hub.files = lambda repo, revision: tuple(  # type: ignore[method-assign]
        replace(file, size=5) if file.path == "config.json" else file
        for file in listed(repo, revision)
    )
    with pytest.raises(IntegrityError, match=r"config\.json of .*\(23 bytes, expected 5\)"):
        desk.pin()
