"""A Hub whose answers are whole and make no sense: each is refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.test_hub_edges import FILE, REPO, REVISION, answering
from tests.adapters.test_hub_lies import HEAD, INFO, PLACE, TREE
from tests.on_thread import serve_on_thread
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.errors import SourceError

DEEP = "[" * 100_000 + "]" * 100_000
BAD_INFO = [
    (DEEP, "deeper than 64 levels"),
    ('{"sha": ' + DEEP + "}", "deeper than 64 levels"),
    ('{"sha": ["a"]}', "its commit is a list"),
    ('{"sha": "main"}', "its commit is none"),
    (f'{{"sha": "{REVISION}", "cardData": {{"license": {{"a": 1}}}}}}', "its licence is a mapping"),
    (f'{{"sha": "{REVISION}", "cardData": {{"license": "\\ud800"}}}}', "half of a surrogate pair"),
    (f'{{"sha": "{REVISION}", "x": NaN}}', "NaN is no finite number"),
    (f'{{"sha": "{REVISION}", "x": 1e999}}', "'1e999' is no finite number"),
    ('{"sha": 1' + "0" * 5000 + "}", "digits"),
]


@pytest.mark.parametrize(("body", "why"), BAD_INFO, ids=range(len(BAD_INFO)))
def test_an_odd_answer_about_a_repository_is_refused_with_the_reason(body: str, why: str) -> None:
    with (
        serve_on_thread(answering({INFO: (200, {}, body.encode())}, [])) as endpoint,
        pytest.raises(SourceError, match=f"not a Hub's: .*{why}") as refused,
    ):
        HuggingFaceHub(endpoint, tries=1).resolve(REPO, "main")
    assert refused.value.message.isprintable()


def entry(**changed: Any) -> str:
    return json.dumps([{"type": "file", "path": "a", "size": 1, "oid": "b" * 40, **changed}])


BAD_LISTINGS = [
    json.dumps([{"type": "file", "path": "a", "size": size, "oid": "b" * 40} for size in (1, 2)]),
    DEEP,
    entry(size=-1),
    entry(size=10**30),
    entry(size=1.5),
    entry(size="1"),
    entry(size=True),
    entry(size=None),
    entry(oid="zz"),
    entry(oid=None),
    entry(path=None),
    entry(path="a" * 5000),
    entry(lfs={"oid": "c" * 64, "size": -1}),
    entry(lfs={"oid": "c" * 63, "size": 1}),
    entry(lfs="yes"),
]


@pytest.mark.parametrize("body", BAD_LISTINGS, ids=range(len(BAD_LISTINGS)))
def test_an_odd_listing_is_refused(body: str) -> None:
    with (
        serve_on_thread(answering({TREE: (200, {}, body.encode())}, [])) as endpoint,
        pytest.raises(SourceError, match="not a Hub's"),
    ):
        HuggingFaceHub(endpoint, tries=1).files(REPO, REVISION)


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("²", "a few minutes"),
        ("9" * 5000, "a few minutes"),
        ("-5", "a few minutes"),
        ("1e3", "a few minutes"),
        ("0", "1 s"),
    ],
    ids=["another script", "endless", "negative", "exponent", "none"],
)
def test_an_odd_time_to_wait_is_said_in_words_that_help(said: str, wait: str) -> None:
    answers = {INFO: (429, {"Retry-After": said}, b"")}

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        named = [(b"retry-after", said.encode("latin-1")), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 429, "headers": named})
        await send({"type": "http.response.body", "body": answers[scope["path"]][2]})

    with serve_on_thread(app) as endpoint, pytest.raises(SourceError, match=f"in {wait}$"):
        HuggingFaceHub(endpoint, tries=1).resolve(REPO, "main")


@pytest.mark.parametrize(
    "headers",
    [{"Location": "http://[nowhere"}, {"X-Linked-Size": "many"}, {"X-Linked-Size": "9" * 5000}],
    ids=["place", "size", "digits"],
)
def test_odd_headers_about_a_file_are_an_error_of_the_tree(
    headers: dict[str, str], tmp_path: Path
) -> None:
    answers = {PLACE: (302, {**HEAD, **headers}, b"")}
    with serve_on_thread(answering(answers, [])) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=1)
        with pytest.raises(SourceError):
            hub.download(REPO, REVISION, FILE, tmp_path / "data", lambda _: None)
