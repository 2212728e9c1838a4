"""What browsers get of the router: its page, and the API's description."""

from __future__ import annotations

import functools
import http.client
import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator import validate as validate_description

from tests.hostside.browser import browser
from tests.hostside.keyed import BOB, ring
from tests.hostside.page_lab import APP, CHAT, blue, closed, described, item_of, opened, router
from tests.hostside.router_lab import ROLE, Backend, Lab, until
from tests.programs import own_temporary

__all__ = ["blue", "closed", "opened"]


WRONG = "tk-wrong-" + "w" * 32


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


@pytest.mark.parametrize("path", ["/", "/page.css", "/openapi.json"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_another_method_than_get_is_refused_for_the_page_as_for_the_list_of_models(
    closed: Lab, path: str, method: str
) -> None:
    with _connection(closed, method, path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")
        error = json.loads(answer.read())["error"]
    assert error["code"] == "method_not_allowed"
    # A client whose base URL is nothing but the address asks here.
    assert error["message"].startswith("Use GET here. The API is at /v1: ")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/openapi.json/"), ("POST", "/m/tiny/openapi.json"), ("POST", "/m/tiny/")],
)
def test_what_only_ends_like_the_page_is_no_endpoint(closed: Lab, method: str, path: str) -> None:
    with _connection(closed, method, path) as answer:
        assert answer.status == 404


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


def test_the_page_is_small_and_loads_nothing_from_elsewhere() -> None:
    texts = [
        (ROLE / "files" / name).read_text("utf-8") for name in ("page.html", "page.css", "page.js")
    ]
    assert sum(map(len, texts)) < 8192
    assert [
        text for text in texts if "http://" in text or "https://" in text or "innerHTML" in text
    ] == []


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
    with own_temporary() as temporary:
        environment = {**os.environ, **temporary}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
    return done.stdout


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
