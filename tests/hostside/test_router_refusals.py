"""Refusals that every client can read, whatever it sends."""

from __future__ import annotations

import pytest

from tests.hostside.door_lab import LARGE, connected, locked
from tests.hostside.keyed import ANN, TINY, bearer
from tests.hostside.router_lab import Lab, until
from tests.hostside.router_site import PATH, Site

__all__ = ["locked"]


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        (PATH, "tk-wrong-" + "w" * 32, (401, "invalid_api_key")),
        ("/m/tiny/v1/completions", "", (401, "missing_api_key")),
        ("/pause", ANN, (404, "unknown_url")),
        ("/m/none/v1/completions", ANN, (404, "model_not_found")),
        ("/v1/models", ANN, (405, "method_not_allowed")),
        ("/m/tiny%00x/v1/completions", ANN, (400, "invalid_path")),
        (PATH, ANN, (413, "body_too_large")),
    ],
)
@pytest.mark.parametrize("size", [20_000, 20_000_000])
def test_a_refusal_is_read_also_by_a_client_that_sends_all_of_its_body_first(
    locked: Lab, path: str, key: str, expected: tuple[int, str], size: int
) -> None:
    if expected[0] == 413 and size < 15_728_640:
        return
    for _ in range(3):
        status, answer, headers = locked.ask(path, b"x" * size, **bearer(key))
        assert (status, answer["error"]["code"]) == expected
        assert headers["Content-Type"] == "application/json"


def test_a_model_without_a_replica_says_so_to_a_client_that_sends_a_large_body(site: Site) -> None:
    site.blue.stop()
    until(lambda: not site.lab.observe()["servers"]["tiny"]["blue"]["up"])
    site.green.stop()
    until(lambda: not site.lab.observe()["servers"]["tiny"]["green"]["up"])
    for path in ("/m/tiny/v1/completions", PATH):
        status, answer, headers = site.lab.ask(path, LARGE)
        assert (status, answer["error"]["code"]) == (503, "no_replica")
        assert headers["Retry-After"] == "1"


ODD = [
    "/m/tiny%00x/v1/completions",
    "/m/tiny%00/v1/completions",
    "/m/%00tiny/v1/completions",
    "/m/tiny%0d%0aX:1/v1/completions",
    "/m/tiny%1f/v1/completions",
    "/m/tiny%7F/v1/completions",
    "/m/tiny%80/v1/completions",
    "/m/tiny%c0%80/v1/completions",
    "/m/tiny%C3%A9/v1/completions",
    "/m/%e0%80%af/v1/completions",
    "/m/tiny%ff/v1/completions",
    "/m/%2e%2e/v1/completions",
    "/m/tiny%5c/v1/completions",
    "/m/tiny%/v1/completions",
    "/m/tiny%g0/v1/completions",
    "/m/tiny%0/v1/completions",
    "/v1/models/tiny%00",
    "/v1/models/tiny%00x",
    "/v1/models/tiny%2",
    "/v1%00/completions",
    "/v1/completions%00",
    "/m/tiny\\x/v1/completions",
]


@pytest.mark.parametrize("path", ODD)
def test_a_path_with_characters_that_no_name_has_is_refused_and_logged(
    locked: Lab, path: str
) -> None:
    before = len(locked.requests())
    body = None if path.startswith("/v1/models") else b"{}"
    status, answer, _ = locked.ask(path, body, **bearer(ANN))
    assert (status, answer["error"]["code"]) == (400, "invalid_path")
    # The line of a request before it may come after the answer.
    line = until(lambda: [each for each in locked.requests()[before:] if each["status"] == 400])[-1]
    assert (line["path"], line["key"], line["model"], line["status"]) == (
        "refused",
        "ann",
        "-",
        400,
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/m/%74iny/v1/completions", 200),
        ("/m/tiny%2500/v1/completions", 404),
        ("/m/tiny%20/v1/completions", 404),
        ("/m/tiny%2f/v1/completions", 404),
        ("/m/../v1/completions", 404),
        ("/m/tiny/../v1/completions", 404),
        ("//v1/completions", 404),
        ("/v1/completions/", 400),
        ("/v1/completions;x=1", 404),
    ],
)
def test_other_spellings_of_a_path_are_decoded_once(locked: Lab, path: str, expected: int) -> None:
    assert locked.ask(path, b"{}", **bearer(ANN))[0] == expected


@pytest.mark.parametrize(
    "key",
    [ANN + "\x01", ANN + "%00", ANN + "\xff", ANN + " x", "\xc0\x80" + ANN, ANN * 50, ANN.upper()],
    ids=ascii,
)
def test_a_key_with_other_characters_is_no_key(locked: Lab, key: str) -> None:
    assert locked.ask(PATH, TINY, x_api_key=key)[0] == 401


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (f"GET /v1/models HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\0\r\n\r\n", 401),
        (f"GET /v1/mod\0els HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\r\n\r\n", 400),
        (f"GET /v1/mod\x01els HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\r\n\r\n", 400),
        (f"GET /v1/models\xe9 HTTP/1.1\r\nHost: x\r\nx-api-key: {ANN}\r\n\r\n", 400),
    ],
    ids=ascii,
)
def test_raw_characters_get_nobody_in(locked: Lab, head: str, expected: int) -> None:
    with connected(locked) as raw:
        raw.sendall(head.encode("latin-1"))
        assert int(raw.recv(100).split()[1]) == expected


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        (PATH, {}, "401"),
        (PATH, bearer("tk-wrong-" + "w" * 32), "401"),
        (PATH, {**bearer(ANN), "Content-Length": "99000000"}, "413"),
        (PATH, {**bearer(ANN), "Content-Encoding": "gzip"}, "415"),
        ("/pause", bearer(ANN), "404"),
        ("/m/none/v1/completions", bearer(ANN), "404"),
        ("/v1/models", bearer(ANN), "405"),
        (PATH, bearer(ANN), "100"),
        (PATH, {**bearer(ANN), "Content-Length": "100000"}, "100"),
    ],
)
def test_a_client_that_asks_before_it_sends_its_body_is_told_of_a_refusal_alone(
    locked: Lab, path: str, headers: dict[str, str], expected: str
) -> None:
    given = {"Host": "x", "Content-Length": "1000", "Expect": "100-continue", **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    with connected(locked) as raw:
        raw.sendall("\r\n".join([*lines, "", ""]).encode())
        assert raw.recv(100).split()[1].decode() == expected
