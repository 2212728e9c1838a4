"""The commits of a branch: the real client over HTTP, and what no answer may say."""

from __future__ import annotations

import json

import pytest
from starlette.types import Receive, Scope, Send

from tests.adapters.hub_lab import REPO, RealWorld
from tests.on_thread import serve_on_thread
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.hub.answers import parse_commits
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.adapters.hub.port import Commit
from toolkit.domain.bounds import COMMIT_PAGES
from toolkit.errors import SourceError

ONE, TWO = "1" * 40, "2" * 40
PAGES = [
    [{"id": TWO, "title": "newer", "date": "2026-11-02T00:00:00.000Z"}],
    [{"id": ONE, "title": "older", "date": "2026-11-01T00:00:00Z"}],
]


class Branch:
    """A Hub that serves the pages of a branch's commits, `endless` or as they are."""

    def __init__(self, *, endless: bool = False) -> None:
        self.endless, self.paths = endless, list[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope["query_string"].decode()
        number = int(query.partition("p=")[2] or 0)
        self.paths.append(scope["path"])
        headers = [(b"content-type", b"application/json")]
        if self.endless or number + 1 < len(PAGES):
            headers.append(
                (
                    b"link",
                    b'<https://elsewhere.test%s?p=%d>; rel="next"'
                    % (scope["path"].encode(), number + 1),
                )
            )
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = json.dumps(PAGES[min(number, len(PAGES) - 1)]).encode()
        await send({"type": "http.response.body", "body": body})


def test_the_commits_of_a_branch_come_newest_first_page_by_page() -> None:
    branch = Branch()
    with serve_on_thread(branch) as endpoint:
        found = HuggingFaceHub(endpoint, tries=1).commits(REPO, "feature/x")
    assert found == (Commit(TWO, 1793577600.0), Commit(ONE, 1793491200.0))
    assert branch.paths == [f"/api/models/{REPO}/commits/feature/x"] * 2


def test_a_branch_without_an_end_is_read_so_far_and_no_further() -> None:
    branch = Branch(endless=True)
    with serve_on_thread(branch) as endpoint:
        found = HuggingFaceHub(endpoint, tries=1).commits(REPO, "main")
    assert len(found) == len(branch.paths) == COMMIT_PAGES


def test_a_mirror_tells_what_it_holds_as_commits(real_hub: RealWorld) -> None:
    revision = real_hub.publish({"config.json": b"{}"})
    assert [each.revision for each in real_hub.hub.commits(REPO, "main")] == [revision]
    with pytest.raises(SourceError) as caught:
        real_hub.hub.commits("acme/other", "main")
    assert caught.value.missing


def test_the_fake_tells_commits_like_the_real_hub() -> None:
    hub = FakeHub()
    first = hub.publish(REPO, {"a": b"1"}, date=1.0)
    second = hub.publish(REPO, {"a": b"2"}, date=2.0)
    assert hub.commits(REPO, "main") == (Commit(second, 2.0), Commit(first, 1.0))
    with pytest.raises(SourceError) as caught:
        hub.commits(REPO, "other")
    assert caught.value.missing


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[1]", b'[{"id": "x", "date": "2026-11-01"}]', b'[{"id": "%s"}]' % ONE.encode(),
     b'[{"id": "%s", "date": "yesterday"}]' % ONE.encode()],
)  # fmt: skip
def test_what_is_no_list_of_commits_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_commits(body)
