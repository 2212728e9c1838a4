"""The settings of notifications: what they mean, and each fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.config.notify import load_notify
from toolkit.domain.trail.channel import (
    TOLD_COMMANDS,
    Channel,
    Hook,
    Mail,
    NotifySettings,
    SecretPlace,
    Service,
    Webhook,
)
from toolkit.errors import InputError

WHOLE = """\
channels:
  - name: ops
    webhook: https://ops.example/hooks/toolkit
    key: {variable: OPS_KEY}
  - name: chat
    webhook: {file: /etc/toolkit/slack}
    form: text
    when: [failed]
    commands: [deploy, schedule run]
  - name: mail
    mail:
      to: [ops@example.org]
      from: toolkit@example.org
      server: smtp.example.org
      user: toolkit
      password: {file: /etc/toolkit/smtp}
  - name: phone
    apprise: {variable: APPRISE_URL}
hooks:
  before: {run: [/usr/local/bin/ask, --now], seconds: 5}
  after: {run: [/usr/local/bin/note]}
"""


def load(place: Path, text: str) -> NotifySettings:
    (place / "notify.yaml").write_text(text)
    return load_notify(place / "notify.yaml")


def test_settings_are_read(tmp_path: Path) -> None:
    found = load(tmp_path, WHOLE)
    assert found.channels == (
        Channel("ops", Webhook("https://ops.example/hooks/toolkit", key=SecretPlace("OPS_KEY"))),
        Channel("chat", Webhook(SecretPlace(file="/etc/toolkit/slack"), text_only=True),
                ("deploy", "schedule run"), done=False),
        Channel("mail", Mail(("ops@example.org",), "toolkit@example.org", "smtp.example.org", 587,
                             user="toolkit", password=SecretPlace(file="/etc/toolkit/smtp"))),
        Channel("phone", Service(SecretPlace("APPRISE_URL"))),
    )  # fmt: skip
    assert found.channels[0].commands == TOLD_COMMANDS
    assert (found.before, found.after) == (
        Hook(("/usr/local/bin/ask", "--now"), 5.0), Hook(("/usr/local/bin/note",)),
    )  # fmt: skip


@pytest.mark.parametrize("field", ["channels", "hooks"])
def test_a_field_that_was_left_empty_is_named(tmp_path: Path, field: str) -> None:
    with pytest.raises(InputError, match=f"notify.yaml:1:1: {field} must be a "):
        load(tmp_path, f"{field}:\n")


def test_an_empty_mapping_tells_nobody(tmp_path: Path) -> None:
    assert load(tmp_path, "{}") == NotifySettings()


ONE = "channels:\n  - name: ops\n    webhook: https://ops.example/hook\n"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("[]", "1:1", "must be a mapping"),
        ("channels: {}", "1:11", "channels must be a list"),
        ("channels: 5", "1:11", "channels must be a list"),
        ("chanels: []", "1:1", "'chanels' is not known here; known: channels, hooks"),
        ("channels:\n  - name: ops\n", "2:5", "needs exactly one of webhook, mail and apprise"),
        (ONE + "    mail: {}\n", "2:5", "needs exactly one of"),
        (ONE + "  - name: ops\n    webhook: https://x.example/\n", "4:11", "ops is there twice"),
        (ONE.replace("ops\n", "'a b'\n"), "2:11", "channels.name must be a short name"),
        (ONE.replace("https", "ftp"), "3:14", "must be an http(s) URL without a password"),
        (ONE.replace("//ops", "//ann:pw@ops"), "3:14", "without a password"),
        (ONE + "    form: xml\n", "4:11", "must be json, or text for Slack"),
        (ONE + "    key: hunter2\n", "4:10", "is a secret, so only its place stands here"),
        (ONE + "    key: {file: relative}\n", "4:17", "must be an absolute path"),
        (ONE + "    key: {variable: A, file: /b}\n", "4:10", "needs one place"),
        (ONE + "    when: [sometimes]\n", "4:12", "'sometimes' is none of them"),
        (ONE + "    when: done\n", "4:11", "must be a list of texts"),
        (ONE + "    commands: [Deploy!]\n", "4:16", "'Deploy!' is none of them"),
        # A channel that nothing ever reaches.
        (ONE + "    commands: [deploy, upgarde]\n", "4:24", "'upgarde' is none of them"),
        ("channels:\n  - name: ops\n    webhook: https://ops.example:99999/\n", "3:14", "no URL: Port out of range"),
        ("channels:\n  - name: ops\n    webhook: https://[::1/hook\n", "3:14", "no URL"),
        ("channels:\n  - name: ops\n    webhook: https://:80/hook\n", "3:14", "names no host"),
        ("channels:\n  - name: m\n    mail: {to: [a@b], from: a@b, server: 'h:70000'}\n", "3:42", "no port 70000"),
        ("channels:\n  - name: m\n    mail: {to: [a@b], from: a@b, server: h, user: }\n", "3:45", "a user's name"),
        ("channels:\n  - name: m\n    mail: {to: [x], from: a@b, server: h}\n", "3:17", "must be an address"),
        ("channels:\n  - name: m\n    mail: {to: [], from: a@b, server: h}\n", "3:16", "who gets the mail"),
        (
            "channels:\n  - name: m\n    mail: {to: [a@b], from: a@b, server: h, tls: none, password: {file: /p}}\n",
            "3:66", "would go over the network in clear",
        ),
        (
            "channels:\n  - name: m\n    mail: {to: [a@b], from: a@b, server: h, tls: [tls]}\n",
            "3:50", "must be starttls, tls or none",
        ),
        # What was left empty counts as written, else a message goes out unsigned or with nobody logged in.
        (ONE + "    key:\n", "4:5", "is a secret, so only its place stands here"),
        (ONE + "    when: []\n", "4:11", "must name one, or nobody is told"),
        (ONE + "    commands: []\n", "4:15", "must name one, or nobody is told"),
        (
            "channels:\n  - name: m\n    mail: {to: [a@b], from: a@b, server: h, user: x}\n",
            "3:51", "nobody in without a password",
        ),
        (
            "channels:\n  - name: m\n    mail: {to: [a@b], from: a@b, server: h, password: {file: /p}}\n",
            "3:55", "nobody in without a user",
        ),
        ("hooks: []\n", "1:8", "must be a mapping with after, before"),
        ("hooks:\n  before: {run: [ask]}\n", "2:17", "must begin with an absolute path"),
        ("hooks:\n  before: {run: [/ask], seconds: 0}\n", "2:34", "must be more than 0, and at most 600"),
        ("hooks:\n  before: {run: [/ask], seconds: soon}\n", "2:34", "must be a number of seconds"),
        ("hooks:\n  during: {run: [/ask]}\n", "2:3", "'during' is not known here"),
    ],
)  # fmt: skip
def test_a_fault_has_file_and_line(tmp_path: Path, text: str, place: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        load(tmp_path, text)
    assert raised.value.message.startswith(f"{tmp_path}/notify.yaml:{place}")
    assert words in raised.value.message
    assert "hunter2" not in raised.value.message + raised.value.hint


@pytest.mark.parametrize("text", ["hook: {}", "channels: [{nam: a}]", None])
def test_a_fault_names_the_guide_of_these_settings(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "notify.yaml"
    if text:
        path.write_text(text)
    with pytest.raises(InputError) as raised:
        load_notify(path)
    assert raised.value.hint == "docs/notifications.md"
    assert (Path(__file__).parents[2] / raised.value.hint).exists()


@pytest.mark.parametrize(
    "written", ["? '{}'\n: 1\n", "channels:\n- {{name: a, webhook: 'http://a/b', when: ['{}']}}\n"]
)
def test_a_fault_repeats_no_more_of_a_file_than_a_person_reads(
    tmp_path: Path, written: str
) -> None:
    (tmp_path / "notify.yaml").write_text(written.format("a b " * 3000))
    with pytest.raises(InputError) as caught:
        load_notify(tmp_path / "notify.yaml")
    assert len(caught.value.message) < 2200


@pytest.mark.parametrize("user", ['""', '" "', '"a\\nb"', '"\\e[31mx"', '"\\u202ex"', "x" * 300])
def test_a_user_is_a_name_of_one_line(tmp_path: Path, user: str) -> None:
    login = f"user: {user}, password: {{variable: P}}"
    text = f"channels:\n  - name: m\n    mail: {{to: [a@b], from: a@b, server: h, {login}}}\n"
    with pytest.raises(InputError, match=r"channels\.mail\.user must be a user's name"):
        load(tmp_path, text)


@pytest.mark.parametrize("server", [".nan", "-.inf", "-1GiB", "x" * 300, "h..h", "h-.x"])
def test_a_server_is_the_name_of_a_host(tmp_path: Path, server: str) -> None:
    text = f"channels:\n  - name: m\n    mail: {{to: [a@b], from: a@b, server: {server}}}\n"
    with pytest.raises(InputError, match=r"channels\.mail\.server must be HOST or HOST:PORT"):
        load(tmp_path, text)


def test_a_server_may_be_written_with_the_dot_of_the_root(tmp_path: Path) -> None:
    text = "channels:\n  - name: m\n    mail: {to: [a@b], from: a@b, server: 'mx-1.example.:25'}\n"
    (channel,) = load(tmp_path, text).channels
    assert "mx-1.example." in str(channel)
