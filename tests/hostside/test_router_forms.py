"""Audio comes in forms: the router reads the field `model`, wherever it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostside.router_lab import Backend, Lab, lab
from tests.pace import Pace
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

PATH = "/v1/audio/transcriptions"
BOUNDARY = "----fence-7Zq"
SOUND = bytes(range(256)) * 16
MODEL = ('form-data; name="model"', b"tiny")
FILE = ('form-data; name="file"; filename="a.wav"', SOUND)


@pytest.fixture(scope="module")
def engine() -> Iterator[Backend]:
    backend = Backend("blue")
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def router(engine: Backend) -> Iterator[Lab]:
    with lab() as running:
        running.apply(with_model(Routes(), "tiny", (Target("blue", engine.port, 100),), created=5))
        running.up("tiny", "blue")
        yield running


def form(*parts: tuple[str, bytes], boundary: str = BOUNDARY, close: str = "--\r\n") -> bytes:
    """Return the parts, each of its disposition and its content, as a form."""
    text = b""
    for disposition, content in parts:
        text += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        text += content + b"\r\n"
    return text + f"--{boundary}{close}".encode()


def send(
    router: Lab, body: bytes, kind: str = f"multipart/form-data; boundary={BOUNDARY}"
) -> tuple[int, Any]:
    status, answer, _ = router.ask(PATH, body, "POST", Content_Type=kind)
    return status, answer


BIG = ('form-data; name="file"; filename="a.wav"', SOUND * 3_000)
FORMS = [
    ("the field first", form(MODEL, FILE)),
    ("the field last", form(FILE, MODEL)),
    ("a file read elsewhere, the field first", form(MODEL, BIG)),
    ("a file read elsewhere, the field last", form(BIG, MODEL)),
    ("without quotes", form(("form-data; name=model", b"tiny"))),
    ("more parameters", form(('form-data; x="; name=\\"no"; NAME="model" ', b"tiny"))),
    ("two fields", form(('form-data; name="model"', b"none"), MODEL)),
    ("a file of that name", form(MODEL, ('form-data; name="model"; filename="x"', b"none"))),
    ("text before", b"a preamble\r\n" + form(MODEL)),
    ("text after", form(MODEL, close="--\r\nan epilogue")),
    ("no end of line at the end", form(MODEL, close="--")),
    ("a boundary's beginning in the file", form(("form-data; name=f", b"\r\n--" + BOUNDARY[:9].encode()), MODEL)),
    ("a longer boundary in the file", form(("form-data; name=f", f"\r\n--{BOUNDARY}x\r\n".encode()), MODEL)),
    ("an empty field", form(("form-data; name=language", b""), MODEL)),
    ("another header before", form(MODEL).replace(b"Content-D", b"Content-Type: text/plain\r\ncontent-d")),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body"), FORMS, ids=[what for what, _ in FORMS])
def test_the_model_of_a_form(router: Lab, engine: Backend, what: str, body: bytes) -> None:
    assert send(router, body) == (200, {"slot": "blue", "size": len(body)}), what
    assert engine.last == (PATH, body)


@pytest.mark.parametrize(
    "kind", ["Multipart/Form-Data; x=y; BOUNDARY={}", 'multipart/form-data;boundary="{}"']
)
def test_spellings_of_the_boundary(router: Lab, kind: str) -> None:
    assert send(router, form(MODEL), kind.format(BOUNDARY))[0] == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(FILE), "missing_model"),
        (form(FILE, BIG), "missing_model"),
        (form(("form-data; name=Model", b"tiny")), "missing_model"),
        (form(("form-data; name=model; filename=x", b"tiny")), "missing_model"),
        (form(("form-data; name=model", b"")), "missing_model"),
        (form(("form-data; name=model", b"a\0b")), "missing_model"),
        (form(("form-data; name=model", b"n" * 2000)), "missing_model"),
        (form(), "missing_model"),
        (b"", "invalid_form"),
        (b'{"model":"tiny"}', "invalid_form"),
        (form(MODEL, close=""), "invalid_form"),
        (form(MODEL, BIG)[:-9], "invalid_form"),
        (form(MODEL, boundary="other"), "invalid_form"),
        (form(MODEL).replace(b"\r\n", b"\n"), "invalid_form"),
        (form(("form-data; name=" + "x" * 5000, b"")), "invalid_form"),
    ],
)
def test_forms_without_a_model_are_refused(router: Lab, body: bytes, code: str) -> None:
    status, answer = send(router, body)
    assert (status, answer["error"]["code"]) == (400, code)


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "b" * 300])
def test_a_form_without_a_boundary_is_refused(router: Lab, boundary: str) -> None:
    status, answer = send(router, form(MODEL), f"multipart/form-data{boundary}")
    assert (status, answer["error"]["code"]) == (400, "invalid_form")


def test_a_path_may_name_the_model_of_a_form(router: Lab, engine: Backend) -> None:
    body = form(FILE)
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    assert router.ask(f"/m/tiny{PATH}", body, "POST", Content_Type=kind)[0] == 200
    assert engine.last == (PATH, body)


def test_json_of_the_same_path_is_still_read(router: Lab) -> None:
    assert router.ask(PATH, {"model": "tiny"}, Content_Type="application/json")[0] == 200


@pytest.mark.parametrize("content", [f"\r\n--{BOUNDARY}x".encode(), b"\r\n--", b"\r\n"])
def test_megabytes_of_boundaries_cost_no_seconds(router: Lab, content: bytes, pace: Pace) -> None:
    body = form(("form-data; name=f", content * (14_000_000 // len(content))))
    started = pace()
    assert send(router, body)[0] == 400
    assert pace() - started < 2


def test_what_a_form_names_is_told_without_harm(router: Lab) -> None:
    status, answer = send(router, form(("form-data; name=model", b'a"},{\\%[env(HOME)]')))
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert json.dumps(answer).count("env(HOME)") == 1
