"""The clients of a fleet enter at a gateway, while what lies behind it changes, and while a part of it has no power."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from tests.system.fleet_site import MODEL
from tests.system.stub_site import PROMPT, StubSite
from tests.system.waiting import until

# The clients of one load: each has one request under way at most.
CLIENTS = 4


def change_behind(site: StubSite, gateway: str) -> None:
    """Upgrade and roll back behind the gateway: no request fails, and none is answered by what no longer serves."""
    load = site.load(gateway)
    site.lab.toolkit("upgrade", MODEL, "--to", "v2", "--yes", "--bake", "1")
    load.wait_for(lambda report: "v2" in report.versions, 60)
    site.lab.toolkit("rollback", MODEL, "--yes")
    after = time.time()
    load.wait_for(lambda report: report.last_sent("v1", after=after) is not None, 60)
    report = load.stop()
    assert report.bad == ()
    assert report.last_sent("v2", after=after) is None


def keep_out(site: StubSite, gateway: str, other: str) -> None:
    """Give out a key: the gateway lets in nobody else, and its limit counts wherever its requests enter."""
    words = ("keys", "add", "clients", "--requests-per-minute", "3", "--json")
    key = json.loads(site.lab.toolkit(*words).stdout)["key"]
    try:
        assert status(site, gateway, "") == status(site, gateway, "sk-odd") == 401
        assert [status(site, gateway, key) for _ in range(4)] == [200, 200, 200, 429]
        assert status(site, other, key) == 429
        site.lab.toolkit("keys", "revoke", "clients")
        assert status(site, gateway, key) == 401
    finally:
        site.lab.toolkit("keys", "revoke", "clients", check=False)
        site.lab.toolkit("keys", "open")


def miss_a_change(site: StubSite, gateway: str, behind: tuple[str, ...]) -> None:
    """Upgrade while the gateway is off: the command names it, and the next command brings it up to date."""
    site.lab[gateway].power_off()
    words = ("upgrade", MODEL, "--to", "v2", "--yes", "--bake", "1")
    done = site.lab.toolkit(*words, check=False)
    assert f"{gateway}: unreachable" in done.stderr, done
    assert site.serving() == {name: ["v2"] for name in behind}
    site.lab[gateway].power_on()
    site.lab.toolkit(*words)
    assert site.ask(gateway, PROMPT)["choices"][0]["message"]["content"] == site.answer("v2")
    assert site.serving() == {name: ["v2"] for name in behind}


def lose(site: StubSite, gateway: str, lost: str) -> None:
    """Cut the power of a host behind the gateway: the others answer, and so does this one once it is back."""

    def answers_since(at: float, host: str) -> int:
        answers = load.report().answers
        return sum(each.sent_at > at and each.slot.startswith(f"{host}.") for each in answers)

    load = site.load(gateway)
    until(lambda: answers_since(0, lost), 60, bool)
    cut = time.time()
    site.lab[lost].power_off()
    load.wait_for(lambda report: sum(each.sent_at > cut + 3 for each in report.answers) > 20, 60)
    site.lab[lost].power_on()
    back = time.time()
    until(lambda: answers_since(back, lost), 120, bool)
    report = load.stop()
    # What was under way on the host is lost with it.
    assert len(report.bad) <= CLIENTS
    assert all(each.ended_at >= cut and each.sent_at < cut + 3 for each in report.bad)


def status(site: StubSite, host: str, key: str) -> int:
    """Return the status of a request with a key, empty for none, that enters at `host`."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "temperature": 0}
    request = urllib.request.Request(
        f"{site.door(host)}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
