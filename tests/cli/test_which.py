"""`toolkit which`, with a router and a closed API that answer on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cli.shell import REGISTRY, Shell
from tests.workflows.cost_week import WEEKS, Week
from toolkit.errors import HostError
from toolkit.workflows.use.collect import Collected

COSTS = """\
currency: USD
hosts:
  localhost: {from: 2026-01-01, hourly: 1}
capacity:
  - {model: tiny, input: 1000, cached: 10000, output: 100, measured: 2026-11-01}
against: [acme/big]
apis:
  acme/big: {read: 2026-11-20, input: 2, output: 10}
"""
GOLDEN = """\
- {name: capital, prompt: What is the capital of France?, expect: {contains: Paris}}
- {name: sum, prompt: What is 2 + 3?, expect: {contains: "5"}}
"""
TRAFFIC = ("--tokens-in", "1000000", "--tokens-out", "100000", "--days", "1")


class Stand(ThreadingHTTPServer):
    """An API that says `answer` to all, and keeps what it was asked."""

    def __init__(self, answer: str, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.status = answer, status
        self.asked: list[tuple[str, str, dict[str, Any]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Stand

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("Authorization", "")
        self.server.asked.append((self.path, key, asked))
        choice = {"index": 0, "message": {"role": "assistant", "content": self.server.answer}}
        body = json.dumps({"choices": [{**choice, "finish_reason": "stop"}]}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def stands() -> Iterator[dict[str, Stand]]:
    made = {"inside": Stand("Paris, and 5"), "api": Stand("Paris")}
    threads = [threading.Thread(target=each.serve_forever, args=(0.01,)) for each in made.values()]
    for thread in threads:
        thread.start()
    yield made
    for each in made.values():
        each.shutdown()
        each.server_close()
    for thread in threads:
        thread.join()


@pytest.fixture
def desk(shell: Shell, stands: dict[str, Stand], monkeypatch: pytest.MonkeyPatch) -> Shell:
    port = stands["inside"].server_address[1]
    (shell.place / "fleet.yaml").write_text(
        "all:\n  hosts:\n    localhost:\n      ansible_connection: local\n"
        f"      toolkit_root: {shell.root}\n      router_bind: 127.0.0.1:{port}\n"
    )
    (shell.place / "costs.yaml").write_text(COSTS)
    (shell.place / "golden.yaml").write_text(GOLDEN)
    today = datetime(2026, 11, 27, 9, tzinfo=UTC).timestamp()
    monkeypatch.setattr("toolkit.cli.commands.which.time.time", lambda: today)
    monkeypatch.setenv("BIG_KEY", "sk-closed")
    monkeypatch.setenv("TOOLKIT_KEY", "sk-inside")
    return shell


def named(stands: dict[str, Stand]) -> tuple[str, ...]:
    port = stands["api"].server_address[1]
    return (
        "--endpoint", f"http://127.0.0.1:{port}/openai/v1", "--key-variable", "BIG_KEY", "--prompts", "golden.yaml",
    )  # fmt: skip


def test_the_table_has_both_sides_with_the_figures_of_cost(desk: Shell) -> None:
    """24 h x 1 here; 1 million x 2 + 0.1 million x 10 = 3 there. The work of 2,000 s leaves 98 % of a day idle."""
    said = desk("which", "tiny", *TRAFFIC, "--json").json()
    found = {
        each["subject"]: (each["inside"], each["api"], each["speaks_for"])
        for each in said["points"]
    }
    assert found["cost of this traffic"] == ("USD 24.00", "USD 3.00", "api")
    assert found["of it for time without work"] == ("98 %", "0 %", "api")
    assert found["one more million tokens"] == ("USD 0.0000", "USD 2.7273", "inside")
    assert found["same cost at"][0] == "8 times this traffic"
    assert (said["api"], said["read"], said["inside"]) == ("acme/big", "2026-11-20", False)


def test_a_metered_host_has_the_bill_of_its_readings_and_the_marginal_price_of_its_watts(
    desk: Shell,
) -> None:
    """The bill of the mixed week, which a test works out by hand, up to today."""
    week = Week("mixed", desk.place / "home")
    week.history.close()
    files = WEEKS / "mixed"
    rate = "exchange: {USD: {rate: 0.92, read: 2026-11-20}}\n"
    (desk.place / "costs.yaml").write_text((files / "costs.yaml").read_text() + rate)
    desk.registry.write_text(REGISTRY.replace("tiny", "small"))
    words = ("which", "small", "--no-hosts", "--since", "2026-11-02", "--json")
    bill = ("cost", "--no-hosts", "--since", "2026-11-02", "--json")
    readings = ("--readings", str(files / "meter.csv"))
    for more in ((), readings):
        found = {each["subject"]: each["inside"] for each in desk(*words, *more).json()["points"]}
        (model,) = [
            each for each in desk(*bill, *more).json()["models"] if each["model"] == "small"
        ]
        assert found["cost of this traffic"] == f"EUR {float(model['total']):,.2f}"
        price = {name: Decimal(each) for name, each in model["per_million"]["marginal"].items()}
        tokens = {name: int(model[name]) for name in ("tokens_in", "cached", "tokens_out")}
        fresh = tokens["tokens_in"] - tokens["cached"]
        cost = (
            fresh * price["input"]
            + tokens["cached"] * price["cached"]
            + tokens["tokens_out"] * price["output"]
        )
        by_hand = cost / (tokens["tokens_in"] + tokens["tokens_out"])
        assert found["one more million tokens"] == f"EUR {by_hand:.4f}" != "EUR 0.0000"
    assert desk(*words[:2], *TRAFFIC, *readings).err.startswith(
        "error: --readings is for recorded use"
    )


def test_options_that_would_be_left_unread_are_refused(desk: Shell) -> None:
    for words, message in (
        ((*TRAFFIC, "--latency", "2"), "--latency without --prompts measures nothing"),
        ((*TRAFFIC, "--since", "7d"), "--since is for recorded use"),
        (("--requests", "7"), "--requests is for a traffic that is stated"),
    ):
        said = desk("which", "tiny", *words)
        assert said.code == 2
        assert message in said.err
        assert "\nhint: " in said.err


def test_without_recorded_use_the_hint_is_a_command_that_ends_it(desk: Shell) -> None:
    """It named `toolkit cost`, which shows no sides, and its own figures did not come back here."""
    said = desk("which", "tiny", "--no-hosts")
    assert said.code == 2
    hint = said.err.partition("hint: state a traffic: toolkit ")[2]
    assert hint == "which tiny --tokens-in 1000000 --tokens-out 200000 --days 30\n"
    assert desk(*hint.split()).code == 0


def test_a_break_even_far_away_is_a_whole_number(desk: Shell) -> None:
    said = desk("which", "tiny", "--tokens-in", "10", "--tokens-out", "1", "--days", "1", "--json")
    found = {each["subject"]: each["inside"] for each in said.json()["points"]}
    assert found["same cost at"] == "800,000 times this traffic"


def test_recorded_use_is_collected_first_and_hosts_that_are_away_are_named(
    desk: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def collect(hosts: Any, history: Any) -> Collected:
        asked.extend(each.name for each in hosts)
        return Collected(errors={"localhost": HostError("gone")})

    monkeypatch.setattr("toolkit.cli.opening.traffic.collect", collect)
    said = desk("which", "tiny")
    assert "the history has no use" in said.err
    assert asked == ["localhost"]
    desk("which", "tiny", "--no-hosts")
    desk("which", "tiny", *TRAFFIC)
    assert asked == ["localhost"]


def test_golden_prompts_go_to_both_with_the_key_of_each(
    desk: Shell, stands: dict[str, Stand]
) -> None:
    said = desk("which", "tiny", *TRAFFIC, *named(stands), "--latency", "60")
    assert said.code == 0, said.err
    lines = {line.split("  ")[0]: line for line in said.out.splitlines()}
    assert "2 of 2" in lines["golden prompts passed"]
    assert "1 of 2" in lines["golden prompts passed"]
    assert lines["golden prompts passed"].endswith("inside")
    assert "api: sum (" in said.err
    here, there = stands["inside"].asked, stands["api"].asked
    assert [(path, key, asked["model"]) for path, key, asked in here] == [
        ("/v1/chat/completions", "Bearer sk-inside", "tiny")
    ] * 2
    assert [(path, key, asked["model"]) for path, key, asked in there] == [
        ("/openai/v1/chat/completions", "Bearer sk-closed", "big")
    ] * 2
    assert "sk-" not in said.out + said.err


def test_nothing_of_what_is_inside_reaches_the_closed_api(
    desk: Shell, stands: dict[str, Stand]
) -> None:
    refused = desk("which", "tiny", *TRAFFIC, *named(stands), "--inside")
    assert refused.code == 2
    assert "tiny is inside: nothing that is sent to it may reach a closed API" in refused.err
    marked = desk.registry.read_text().replace(
        "    description: a small one\n", "    description: a small one\n    inside: true\n"
    )
    desk.registry.write_text(marked)
    assert desk("which", "tiny", *TRAFFIC, *named(stands)).code == 2
    assert (stands["inside"].asked, stands["api"].asked) == ([], [])
    said = desk("which", "tiny", *TRAFFIC, "--prompts", "golden.yaml")
    assert said.code == 0
    assert "tiny is inside: a closed API is no choice for it" in said.out
    assert (len(stands["inside"].asked), stands["api"].asked) == (2, [])


def test_an_api_that_refuses_has_failed(desk: Shell, stands: dict[str, Stand]) -> None:
    stands["api"].status = 401
    said = desk("which", "tiny", *TRAFFIC, *named(stands), "--json").json()
    (passed,) = [each for each in said["points"] if each["subject"] == "golden prompts passed"]
    assert (passed["inside"], passed["api"]) == ("2 of 2", "0 of 2")
    assert all("answered HTTP 401" in each for each in said["faults"]["api"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--endpoint", "https://a.example/v1"), "--endpoint and --key-variable belong together"),
        (("--endpoint", "https://a.example/v1", "--key-variable", "BIG_KEY"),
         "--endpoint without --prompts asks nothing"),
        (("--endpoint", "http://a.example/v1", "--key-variable", "BIG_KEY", "--prompts", "golden.yaml"),
         "http://a.example/v1 is no https address"),
        (("--endpoint", "https://a.example/v1", "--key-variable", "NO_KEY", "--prompts", "golden.yaml"),
         "NO_KEY is not set"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(desk: Shell, words: tuple[str, ...], message: str) -> None:
    said = desk("which", "tiny", *TRAFFIC, *words)
    assert said.code == 2
    assert said.err.splitlines()[0] == f"error: {message}"


def test_without_any_use_a_traffic_must_be_stated(desk: Shell) -> None:
    said = desk("which", "tiny")
    assert (said.code, "the history has no use" in said.err) == (2, True)


def test_an_api_that_is_not_there_is_not_called_a_router(desk: Shell) -> None:
    words = ("--endpoint", "http://127.0.0.1:1/v1", "--key-variable", "BIG_KEY")
    said = desk("which", "tiny", *TRAFFIC, *words, "--prompts", "golden.yaml", "--json").json()
    assert len(said["faults"]["api"]) == 2
    assert all("the closed API at http://127.0.0.1:1/v1 " in each for each in said["faults"]["api"])
