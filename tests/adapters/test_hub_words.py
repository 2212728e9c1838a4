"""The errors of a Hub say what is true: how often it failed, and whether to ask again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.test_hub_edges import REPO, answering
from tests.adapters.test_hub_lies import INFO, start
from tests.on_thread import serve_on_thread
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.errors import SourceError


@pytest.mark.parametrize(
    ("tries", "times"), [(1, "once"), (2, "twice in a row"), (3, "3 times in a row")]
)
def test_an_error_says_how_often_it_happened(tries: int, times: str) -> None:

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await start(send, 200, {"Content-Length": "100"})
        await send({"type": "http.response.body", "body": b"{}"})

    with serve_on_thread(app) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=tries, pause=0.001)
        with pytest.raises(SourceError, match=f"broke the connection .*, {times}$"):
            hub.resolve(REPO, "main")


def test_another_failure_before_it_is_not_counted_with_it() -> None:
    seen: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await start(send, 503 if len(seen) < 3 else 200, {"Content-Length": "1"})
        await send({"type": "http.response.body", "body": b"" if len(seen) > 2 else b"x"})

    with serve_on_thread(app) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=3, pause=0.001)
        with pytest.raises(SourceError, match=r"broke the connection .*, once$"):
            hub.resolve(REPO, "main")


@pytest.mark.parametrize("status", [400, 407, 418, 451])
def test_a_request_that_is_rejected_for_itself_is_not_to_be_sent_again(status: int) -> None:
    with (
        serve_on_thread(answering({INFO: (status, {}, b"")}, [])) as endpoint,
        pytest.raises(SourceError, match=f"answered {status}") as refused,
    ):
        HuggingFaceHub(endpoint, tries=1).resolve(REPO, "main")
    assert "the same request will fail again" in refused.value.hint


def test_no_missing_file_is_named_where_none_was_asked_for() -> None:
    answers = {INFO: (404, {"X-Error-Code": "EntryNotFound"}, b"")}
    with (
        serve_on_thread(answering(answers, [])) as endpoint,
        pytest.raises(SourceError, match="gave an answer about acme/tiny that is not a Hub's"),
    ):
        HuggingFaceHub(endpoint, tries=1).resolve(REPO, "main")
