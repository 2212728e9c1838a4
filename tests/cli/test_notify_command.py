"""The channels as a person sees and tries them."""

from __future__ import annotations

import pytest

from tests.cli.shell import Prompt
from toolkit.adapters.notices.delivery import NotDelivered
from toolkit.adapters.notices.outbox import Outbox
from toolkit.domain.trail.channel import Channel
from toolkit.domain.trail.notice import Notice

SETTINGS = """\
channels:
  - {name: ops, webhook: 'https://ops.example/hook', when: [failed]}
  - {name: mail, mail: {to: [a@b.c], from: d@e.f, server: smtp.example.org}, commands: [deploy]}
  - {name: phone, apprise: {variable: APPRISE_URL}}
"""


@pytest.fixture
def told(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Prompt:
    (prompt.place / "home").mkdir()
    (prompt.place / "home" / "notify.yaml").write_text(SETTINGS)

    def deliver(channel: Channel, notice: Notice, now: float) -> None:
        assert notice.command == "notify test"
        if channel.name == "mail":
            raise NotDelivered("it answered 550")

    monkeypatch.setattr("toolkit.adapters.notices.delivery.deliver", deliver)
    return prompt


def test_channels_are_listed_with_what_waits_for_them(told: Prompt) -> None:
    Outbox(told.place / "home").put("ops", Notice("a", 1000.0, "deploy", "host"))
    said = told("notify", "--json")
    assert [(each["name"], each["kind"], each["when"], each["waiting"]) for each in said.json()["channels"]] == [
        ("ops", "webhook", ["failed"], 1),
        ("mail", "mail", ["done", "failed"], 0),
        ("phone", "apprise", ["done", "failed"], 0),
    ]  # fmt: skip
    assert "ops      webhook  failed" in told("notify").out


def test_a_test_message_goes_to_every_channel_and_names_those_that_fail(told: Prompt) -> None:
    said = told("notify", "test")
    assert (said.code, said.out) == (1, "ops was told\nphone was told\n")
    assert "these channels were not told:\n  mail: it answered 550" in said.err
    assert list(Outbox(told.place / "home").waiting()) == []


def test_without_channels_there_is_nothing_to_try(prompt: Prompt) -> None:
    assert prompt("notify", "test").code == 2
    assert "nobody is told" in prompt("notify").out


def test_another_file_can_be_named(told: Prompt) -> None:
    (told.place / "other.yaml").write_text("channels: 5")
    told.set("TOOLKIT_NOTIFY", told.place / "other.yaml")
    said = told("notify")
    assert (said.code, "other.yaml:1:11: channels must be a list" in said.err) == (2, True)
