"""What browsers get of the router: its page, the API's description, and answers for the origins that may read them."""

from __future__ import annotations

import functools
import http.client
import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator import validate as validate_description

from tests.hostside.browser import browser
from tests.hostside.router_lab import ROLE, Backend, Lab, lab, until
from tests.hostside.test_router_keys import BOB, ring
from toolkit.config.inventory.host_settings import setting_fault
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

CHAT = "/v1/chat/completions"
WRONG = "tk-wrong-" + "w" * 32
APP, OTHER = "https://chat.example.org", "https://evil.example.org"
ASKS = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,x-stainless-os",
}
ALLOW = "Access-Control-Allow-Origin"


@pytest.fixture(scope="module")
def blue() -> Iterator[Backend]:
    backend = Backend("blue")
    yield backend
    backend.stop()


@contextmanager
def router(blue: Backend, *origins: str, **variables: object) -> Iterator[Lab]:
    with lab(router_cors_origins=list(origins), **variables) as running:
        target = Target("blue", blue.port, 100, kind="chat", context=4096)
        running.apply(with_model(Routes(), "tiny", (target,), created=5))
        running.up("tiny", "blue")
        yield running


@pytest.fixture(scope="module")
def closed(blue: Backend) -> Iterator[Lab]:
    with router(blue) as running:
        yield running


@pytest.fixture(scope="module")
def opened(blue: Backend) -> Iterator[Lab]:
    with router(blue, APP, "http://localhost:3000", router_require_keys=True) as running:
        yield running


# --- origins ------------------------------------------------------------------------------------------


def test_without_origins_no_page_reads_an_answer(closed: Lab) -> None:
    """An engine itself lets every page read: the router takes its headers away."""
    for origin in (APP, OTHER):
        status, _, headers = closed.ask(CHAT, {"model": "tiny", "cors": True}, Origin=origin)
        assert status == 200
        assert [name for name in headers if name.lower().startswith("access-control")] == []
    status, _, headers = closed.ask(CHAT, method="OPTIONS", Origin=APP, **ASKS)
    assert (status, headers[ALLOW]) == (405, None)


def test_an_allowed_page_may_ask_without_a_key_whether_it_may(opened: Lab) -> None:
    status, _, headers = opened.ask(CHAT, method="OPTIONS", Origin=APP, **ASKS)
    assert (status, headers[ALLOW], headers["Vary"]) == (204, APP, "Origin")
    assert headers["Access-Control-Allow-Headers"] == "authorization,x-stainless-os"
    assert headers["Access-Control-Allow-Methods"] == "GET, POST"


@pytest.mark.parametrize("origin", [OTHER, f"{APP}.evil.org", "null", f"{APP}:444"])
def test_another_page_may_not(opened: Lab, origin: str) -> None:
    for method, body in (("OPTIONS", None), ("POST", {"model": "tiny"})):
        asks = ASKS if method == "OPTIONS" else {}
        status, _, headers = opened.ask(CHAT, body, method=method, Origin=origin, **asks)
        assert (status, headers[ALLOW]) == (401, None)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [(CHAT, {"model": "tiny"}, 401), ("/nowhere", {"model": "tiny"}, 401), ("/healthz", None, 200)],
)
def test_an_allowed_page_reads_errors_too(
    opened: Lab, path: str, body: object, status: int
) -> None:
    found, _, headers = opened.ask(path, body, Origin=APP)
    assert (found, headers[ALLOW], headers["Vary"]) == (status, APP, "Origin")
    shown = set(headers["Access-Control-Expose-Headers"].split(", "))
    # Libraries of OpenAI's API read the id of a request from the one, those of Anthropic's from the other.
    assert {"X-Request-Id", "Request-Id"} <= shown


@pytest.fixture(scope="module")
def failing(blue: Backend) -> Iterator[Lab]:
    """A router whose pages may read everything, and with little patience."""
    with router(blue, APP, router_idle_timeout="2s", router_client_silence="1s") as running:
        down = Target("blue", 1, 100)
        running.apply(with_model(running.routes, "dead", (down,), created=7))
        running.up("tiny", "blue")
        yield running


SLOW = {"model": "tiny", "pause": 4}
FAILURES: list[tuple[str, str, object, int]] = [
    ("POST", CHAT, b"no JSON", 400),
    ("POST", CHAT, {"model": "none"}, 404),
    ("POST", "/nowhere", {}, 404),
    ("GET", CHAT, None, 405),
    ("DELETE", "/v1/models", None, 405),
    ("POST", CHAT, b"x" * 15_728_641, 413),
    ("POST", CHAT, {"model": "tiny"}, 415),
    ("POST", CHAT, {"model": "tiny"}, 502),
    ("POST", CHAT, {"model": "dead"}, 503),
    ("POST", CHAT, SLOW, 504),
    ("POST", "/m/tiny" + CHAT, SLOW, 504),
    # read elsewhere
    ("POST", CHAT, b"no JSON" * 3000, 400),
    ("POST", CHAT, json.dumps({"model": "dead"}).ljust(20_000).encode(), 503),
    ("POST", CHAT, json.dumps(SLOW).ljust(20_000).encode(), 504),
]


def fail(
    failing: Lab, blue: Backend, path: str, method: str, body: object, status: int
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Ask as a page does, such that the answer has `status`."""
    coding = {"Content-Encoding": "gzip"} if status == 415 else {}
    blue.broken = status == 502
    try:
        return failing.ask(path, body, method, Origin=APP, **coding)
    finally:
        blue.broken = False


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    FAILURES,
    ids=[f"{each[3]}-{number}" for number, each in enumerate(FAILURES)],
)
def test_a_page_reads_why_it_failed(
    failing: Lab, blue: Backend, method: str, path: str, body: object, status: int
) -> None:
    found, answer, headers = fail(failing, blue, path, method, body, status)
    assert (found, headers[ALLOW], headers["Vary"]) == (status, APP, "Origin")
    assert answer["error"]["code"] == headers["X-Toolkit-Error"]
    assert "X-Toolkit-Error" in headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        (method, body, status)
        for method, path, body, status in FAILURES
        if path == CHAT and not (isinstance(body, bytes) and status != 413)
    ],
)
def test_errors_are_as_the_description_says(
    failing: Lab, blue: Backend, path: str, method: str, body: object, status: int
) -> None:
    document = described()
    promise = promised(document, path, status)
    found, answer, headers = fail(failing, blue, path, method, body, status)
    assert found == status
    assert all(headers[name] for name in promise["headers"])
    schema = promise["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
    assert ("request_id" in answer) is (path != CHAT)


@pytest.mark.parametrize("size", [5_000, 100_000])
def test_a_page_reads_that_its_body_did_not_come(failing: Lab, size: int) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nOrigin: {APP}\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", failing.port), timeout=70) as raw:
        raw.sendall(head.encode() + b"{")
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert (answer.status, answer.headers[ALLOW]) == (408, APP)


def test_as_many_origins_as_may_be_named_fit_into_the_configuration(blue: Backend) -> None:
    many = [f"https://{'a' * 30}{number}.org" for number in range(32)]
    assert setting_fault("router_cors_origins", many) == ""
    with router(blue, *many) as running:
        assert running.ask(CHAT, {"model": "tiny"}, Origin=many[-1])[2][ALLOW] == many[-1]


def test_all_origins_may_be_let_in(blue: Backend) -> None:
    with router(blue, "*") as running:
        for origin in (APP, OTHER):
            for name, status in (("tiny", 200), ("none", 404)):
                found, _, headers = running.ask(CHAT, {"model": name}, Origin=origin)
                assert (found, headers[ALLOW]) == (status, origin)
        assert running.ask(CHAT, {"model": "tiny"})[2][ALLOW] is None


@pytest.mark.parametrize(
    "value",
    [
        "https://a.org",
        ["https://a.org/path"],
        ["a.org"],
        ["https://A.org"],
        ["https://a.org", "*"],
        ["null"],
        ["https://a.org b"],
        ["https://a.org\n"],
        ['https://a.org"'],
        [""],
        [5],
        ["https://a.org:443"],
        ["http://a.org:80"],
        ["https://a.org:0"],
        ["https://a.org:99999"],
        ["https://a..org"],
        ["https://-a.org"],
        ["https://a.org", "https://a.org"],
        [f"https://a{number}.org" for number in range(33)],
        [f"https://{'a' * 60}{number}.org" for number in range(25)],
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(value: object) -> None:
    assert "different origins" in setting_fault("router_cors_origins", value)


@pytest.mark.parametrize(
    "value", [[], ["*"], [APP], ["http://127.0.0.1:3000", "http://[::1]:8080"], ["https://a_b.org"]]
)
def test_origins_that_browsers_send_are_taken(value: object) -> None:
    assert setting_fault("router_cors_origins", value) == ""


# --- the page and the description -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/openapi.json", "application/json"),
    ],
)
def test_everybody_reads_the_page_and_the_description(opened: Lab, path: str, kind: str) -> None:
    with _connection(opened, "GET", path) as answer:
        assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, kind)
        assert answer.headers["Content-Security-Policy"].startswith(
            "default-src 'none'; script-src 'self';"
        )
        text = answer.read().decode()
    assert text == (ROLE / "files" / (path.strip("/") or "page.html")).read_text("utf-8")
    with _connection(opened, "HEAD", path) as answer:
        assert (answer.status, answer.read()) == (200, b"")
    with _connection(opened, "POST", path) as answer:
        assert answer.status == 401


@contextmanager
def _connection(running: Lab, method: str, path: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    connection.request(method, path)
    try:
        with connection.getresponse() as answer:
            yield answer
    finally:
        connection.close()


def test_the_description_has_the_paths_that_are_served() -> None:
    document = described()
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text("utf-8"))
    served = {"/v1/models", "/v1/models/{model}", *defaults["router_paths"]}
    assert set(document["paths"]) == served
    for path in document["paths"]:
        methods = set(item_of(document, path)) - {"summary", "$ref"}
        assert methods == ({"get"} if path.startswith("/v1/models") else {"post"})


def test_the_description_is_one_of_openapi() -> None:
    document = described()
    assert document["openapi"] == "3.1.0"
    validate_description(document, cls=OpenAPIV31SpecValidator)


def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROLE / "files/openapi.json").read_text("utf-8"))
    return found


def item_of(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Return what the document says of a path, also where paths share it."""
    item: dict[str, Any] = document["paths"][path]
    name = item.get("$ref", "").removeprefix("#/components/pathItems/")
    return {**item, **document["components"]["pathItems"][name]} if name else item


def promised(document: dict[str, Any], path: str, status: int) -> dict[str, Any]:
    """Return the response that the document promises for a POST."""
    reference = item_of(document, path)["post"]["responses"][str(status)]["$ref"]
    name = reference.removeprefix("#/components/responses/")
    found: dict[str, Any] = document["components"]["responses"][name]
    return found


def test_the_page_is_small_and_loads_nothing_from_elsewhere() -> None:
    texts = [
        (ROLE / "files" / name).read_text("utf-8") for name in ("page.html", "page.css", "page.js")
    ]
    assert sum(map(len, texts)) < 8192
    assert [
        text for text in texts if "http://" in text or "https://" in text or "innerHTML" in text
    ] == []


# --- a real browser -------------------------------------------------------------------------------------


def browse(place: Path, url: str) -> str:
    """Return the document of a page as Chromium has it after its scripts have run."""
    options = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        " disable-component-update disable-sync virtual-time-budget=8000 dump-dom"
    )
    command = [
        "/usr/bin/chromium",
        *(f"--{each}" for each in options.split()),
        f"--user-data-dir={place}/profile",
        url,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_page_lists_the_models_in_a_browser(closed: Lab, tmp_path: Path) -> None:
    seen = browse(tmp_path, f"http://127.0.0.1:{closed.port}/")
    assert "tiny<small>chat, 4,096 tokens</small>" in seen
    assert f"curl http://127.0.0.1:{closed.port}/v1/chat/completions" in seen


CONTRAST = """
(() => {
  const light = ([r, g, b]) => [r, g, b]
    .map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const parts = (color) => color.match(/[0-9.]+/g).map(Number);
  const probe = document.createElement("div");
  probe.style.background = "Canvas";
  document.body.append(probe);
  const canvas = parts(getComputedStyle(probe).backgroundColor);
  probe.remove();
  const behind = (node) => {
    if (!node) return canvas;
    const [r, g, b, a = 1] = parts(getComputedStyle(node).backgroundColor), below = behind(node.parentElement);
    return [r, g, b].map((each, at) => each * a + below[at] * (1 - a));
  };
  const seen = {};
  for (const node of document.querySelectorAll("h1, h2, p, a, label, input, button, small, pre, code")) {
    if (!node.offsetParent || !(node.value || node.textContent)) continue;
    const style = getComputedStyle(node), back = behind(node);
    const [r, g, b, a = 1] = parts(style.color);
    const shown = [r, g, b].map((each, at) => each * a * style.opacity + back[at] * (1 - a * style.opacity));
    const [low, high] = [light(shown), light(back)].sort((one, other) => one - other);
    const name = node.localName + (node.id && "#" + node.id);
    seen[name] = Math.min(seen[name] ?? 99, (high + 0.05) / (low + 0.05));
  }
  return seen;
})()
"""


@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_a_visitor_types_a_key_and_reads_the_page_in_light_and_in_the_dark(
    blue: Backend, tmp_path: Path, scheme: str, bright: bool
) -> None:
    with router(blue, router_require_keys=True) as running, browser(tmp_path) as page:
        running.give(ring())
        page.prefer(scheme)
        page.open(f"http://127.0.0.1:{running.port}/")
        said = "document.getElementById('said').textContent"
        page.until(f"{said}.startsWith('You did not provide an API key')")
        page.see("document.getElementById('key').focus()")
        page.press(f"{WRONG}\n")
        page.until(f"{said}.startsWith('Incorrect API key')")
        assert page.see("document.querySelectorAll('#models li').length") == 0
        page.see("document.getElementById('key').select()")
        page.press(f"{BOB}\n")
        assert page.until("document.getElementById('models').innerText").startswith("tiny")
        assert page.see(said) == ""
        assert page.see("document.getElementById('first').hidden") is False
        assert "curl http" in page.see("document.getElementById('curl').textContent")
        # The key stays in the field: neither address, examples nor storage have it.
        assert page.see("document.getElementById('key').value") == BOB
        kept = "location.href + document.documentElement.outerHTML + document.cookie"
        assert BOB not in page.see(kept)
        assert page.see("localStorage.length + sessionStorage.length") == 0
        assert (sum(page.corner()) > 3 * 128) is bright
        contrast = page.see(CONTRAST)
        assert {"h1", "a", "input#key", "button", "small", "pre#curl"} <= set(contrast)
        assert {name: each for name, each in contrast.items() if each < 4.5} == {}
        # The two refusals, as the browser itself tells of them.
        assert [each for each in page.complaints if " 401 " not in each] == []
        # The router logs a request once it has ended, which may be after the page has its answer.
        until(lambda: keys_let_in(running) == {"bob", "-"})


def keys_let_in(running: Lab) -> set[str]:
    return {line["key"] for line in running.requests() if line["status"] == 200}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_page_of_another_origin_reads_only_where_it_may(blue: Backend, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        origin = f"http://127.0.0.1:{server.server_port}"
        try:
            with router(blue, origin) as allowed, router(blue, APP) as refused:
                script = "\n".join(
                    f"fetch('http://127.0.0.1:{each.port}{CHAT}', {{method: 'POST', headers:"
                    " {Authorization: 'Bearer x', 'Content-Type': 'application/json'},"
                    ' body: \'{"model": "tiny"}\'})'
                    f".then((answer) => document.body.append('{name}:' + answer.status),"
                    f" () => document.body.append('{name}:blocked'));"
                    for name, each in (("allowed", allowed), ("refused", refused))
                )
                (site / "index.html").write_text(f"<body><script>{script}</script></body>")
                seen = browse(tmp_path, origin)
        finally:
            server.shutdown()
            thread.join()
    assert "allowed:200" in seen
    assert "refused:blocked" in seen
