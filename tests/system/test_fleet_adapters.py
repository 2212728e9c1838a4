"""LoRA adapters on three real hosts over SSH, each with its own systemd and router; a stub stands for vLLM."""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.load import Load
from tests.system.beside import beside
from tests.system.stub_site import PROMPT, REGISTRY, StubSite, stub_site
from tests.system.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
HOSTS = ("alpha", "beta", "gamma")
ADAPTERS = """\
    lora: {max_active: 2, max_rank: 8}
    adapters:
      sql: {source: {path: ./sql}, revision: new, checks: [{prompt: hi, contains: I am adapter}]}
"""
CONFIG = {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "base_model_name_or_path": "tiny"}
KNOWN = {PROMPT: {"sql1": "I am adapter sql1.", "sql2": "I am adapter sql2."}}


@pytest.fixture(scope="module")
def site() -> Iterator[StubSite]:
    with stub_site(3, REGISTRY + "    lora: {max_active: 2, max_rank: 8}\n") as made:
        made.pin("v1")
        made.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
        yield made


def pin(site: StubSite, said: str) -> None:
    """Pin an adapter that answers `said`."""
    directory = Path(site.lab.directory / "sql")
    directory.mkdir(exist_ok=True)
    (directory / "adapter_config.json").write_text(json.dumps(CONFIG))
    (directory / "adapter_model.safetensors").write_text(said)
    text = site.lab.registry.read_text()
    if "adapters:" not in text:
        line = ADAPTERS.splitlines(keepends=True)[0]
        site.lab.registry.write_text(text.replace(line, ADAPTERS))
    site.lab.toolkit("registry", "pin", "sql")


def said(site: StubSite, host: str, model: str = "sql") -> str:
    """Return the answer of a model or an adapter through the router of one host."""
    text: str = site.ask(host, PROMPT, model=model)["choices"][0]["message"]["content"]
    return text


def load_on(site: StubSite, host: str) -> Load:
    return Load(
        site.door(host), "sql", KNOWN, stream_workers=0, pause=0.02, extra={"user": "client"}
    ).start()


def starts(site: StubSite) -> list[float]:
    return [slot["started_at"] for slot in site.status()["slots"]]


def test_an_adapter_comes_to_running_replicas_of_all_hosts(site: StubSite) -> None:
    before = starts(site)
    pin(site, "I am adapter sql1.")
    done = json.loads(
        site.lab.toolkit("deploy", "tiny@v1", "--yes", "--serial", "3", "--json").stdout
    )
    print({"added in s": done["seconds"]})
    assert {plan["strategy"] for plan in done["plan"]["hosts"].values()} == {"adapt"}
    assert [said(site, host) for host in HOSTS] == ["I am adapter sql1."] * 3
    assert said(site, "beta", "tiny") == "I am version v1."
    assert starts(site) == before
    assert site.status()["drift"] == []


def test_an_upgrade_and_a_rollback_of_an_adapter_lose_no_request(site: StubSite) -> None:
    before = starts(site)
    loads = [load_on(site, "alpha"), load_on(site, "gamma")]
    pin(site, "I am adapter sql2.")
    site.lab.toolkit("deploy", "tiny@v1", "--yes")
    for load in loads:
        load.wait_for(lambda report: report.versions.get("sql2", 0) > 20, 60)
    # All hosts at once this time, after host by host.
    site.lab.toolkit("rollback", "tiny", "--yes", "--serial", "3")
    mark = time.time()
    for load in loads:
        load.wait_for(lambda report: (report.last_sent("sql1", after=mark) or 0) > 0, 60)
    for load in loads:
        report = load.stop()
        print(report.as_json(), {"longest": max(a.ended_at - a.sent_at for a in report.answers)})
        assert report.bad == ()
        assert report.versions.keys() == {"sql1", "sql2"}
    assert starts(site) == before


@pytest.mark.parametrize("words", ["broken weights", "I am somebody else."])
def test_a_bad_adapter_gets_no_request(site: StubSite, words: str) -> None:
    load = load_on(site, "beta")
    pin(site, words)
    done = site.lab.toolkit("deploy", "tiny@v1", "--yes", check=False)
    report = load.stop()
    assert done.returncode == 8
    assert "adapter sql" in done.stderr
    assert report.bad == ()
    assert report.versions.keys() == {"sql1"}
    assert [said(site, host) for host in HOSTS] == ["I am adapter sql1."] * 3


@pytest.mark.parametrize(("words", "code"), [("adapter sql1", 0), ("adapter sql9", 8)])
def test_a_gate_asks_the_adapter_that_serves_its_changed_checks(
    site: StubSite, words: str, code: int
) -> None:
    text, before = site.lab.registry.read_text(), starts(site)
    site.lab.registry.write_text(text.replace("contains: I am adapter", f"contains: {words}"))
    pin(site, "I am adapter sql1.")
    load = load_on(site, "alpha")
    done = site.lab.toolkit("gate", "tiny@v1", "--yes", "--json", check=False)
    report = load.stop()
    site.lab.registry.write_text(text)
    document = json.loads(done.stdout)
    assert done.returncode == code, done.stderr
    if code:
        assert f"without '{words}'" in document["error"]["message"]
    else:
        assert (document["adapters"], document["checked"]) == ([], ["sql"])
        assert {each["verdict"] for each in document["gates"]} == {"passed"}
    assert report.bad == ()
    assert starts(site) == before
    assert [said(site, host) for host in HOSTS] == ["I am adapter sql1."] * 3


def test_golden_prompts_and_hosts_themselves_refuse_an_adapter(site: StubSite) -> None:
    text = site.lab.registry.read_text()
    guard = "guard: {answers: {file: sql.yaml}, bake: 10min}"
    site.lab.registry.write_text(text.replace("I am adapter}]}", f"I am adapter}}], {guard}}}"))
    golden = site.lab.directory / "sql.yaml"
    golden.write_text("[{prompt: hi, expect: {contains: sql1}}]")
    pin(site, "I am adapter sql2.")
    for words in (("gate", "tiny@v1"), ("deploy", "tiny@v1")):
        refused = site.lab.toolkit(*words, "--yes", check=False)
        assert refused.returncode == 8
        assert "did not pass the gate 'answers of sql'" in refused.stderr
    assert [said(site, host) for host in HOSTS] == ["I am adapter sql1."] * 3
    golden.write_text("[{prompt: hi, expect: {contains: I am adapter}}]")
    load = load_on(site, "alpha")
    with beside(*site.lab.command("deploy", "tiny@v1", "--yes")) as command:
        until(
            lambda: [each["phase"] for each in site.status()["guards"]],
            120,
            lambda phases: phases == ["bake"] or not command.goes_on(),
        )
        load.wait_for(lambda report: command.goes_on() and report.versions.get("sql2", 0) > 5, 60)
        site.lab.toolkit("abort", "tiny")
        assert command.end(150) == 8, command.said
    mark = time.time()
    load.wait_for(lambda report: (report.last_sent("sql1", after=mark) or 0) > 0, 60)
    report = load.stop()
    assert report.bad == ()
    assert [said(site, host) for host in HOSTS] == ["I am adapter sql1."] * 3
    assert site.status()["drift"] == []


def test_after_a_crash_and_a_boot_the_adapters_are_there_again(site: StubSite) -> None:
    site.lab["alpha"].run("systemctl", "kill", "--signal=KILL", "toolkit-tiny-blue.service")
    site.lab["beta"].power_off()
    site.lab["beta"].power_on()
    until(site.serving, 60, lambda serving: serving == {name: ["v1"] for name in HOSTS})
    # Each host's router leads to the replicas of all.
    until(lambda: _answers(site), 60, lambda answers: answers == ["I am adapter sql1."] * 9)


def _answers(site: StubSite) -> list[str]:
    """Return three answers of each router, up to the first that fails and why."""
    answers: list[str] = []
    try:
        answers.extend(said(site, host) for host in HOSTS * 3)
    except OSError as error:
        answers.append(str(error))
    return answers


def test_a_removed_adapter_is_unknown(site: StubSite) -> None:
    text = site.lab.registry.read_text()
    lines = [line for line in text.splitlines(keepends=True) if "sql" not in line]
    site.lab.registry.write_text("".join(each for each in lines if "adapters:" not in each))
    site.lab.toolkit("deploy", "tiny@v1", "--yes")
    for host in HOSTS:
        with pytest.raises(urllib.error.HTTPError) as caught:
            said(site, host)
        with caught.value as answer:
            assert answer.code == 404
        assert said(site, host, "tiny") == "I am version v1."
