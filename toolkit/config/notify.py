"""Read `notify.yaml`: channels for notifications, and hooks. Every fault has file and line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from toolkit.config.text_file import read_text
from toolkit.config.yaml_text import Where, YamlText, parse_yaml
from toolkit.domain.trail.channel import (
    RECORDED_COMMANDS,
    TOLD_COMMANDS,
    Channel,
    Hook,
    Mail,
    NotifySettings,
    SecretPlace,
    Service,
    Way,
    Webhook,
)
from toolkit.errors import InputError

MAX_BYTES = 2**18
MAX_SECONDS = 600
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[^\s]*)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ADDRESS = re.compile(r"[^\s@<>,]+@[^\s@<>,]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SERVER = re.compile(rf"(?=[^:]{{1,253}}(?::|\Z))({_LABEL}(?:\.{_LABEL})*\.?)(?::([0-9]{{1,5}}))?")
_USER = 256
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_GUIDE = "docs/notifications.md"
_EXAMPLE = "channels: [{name: ops, webhook: https://ops.example/hook}]"
_MAIL = "mail: {to: [ops@example.org], from: toolkit@example.org, server: smtp.example.org}"
_HOOK = "{run: [/usr/local/bin/my-hook], seconds: 30}"
_A_PLACE = "write {variable: NAME} or {file: /path}: a secret stands in no settings"
_NAMES = {
    "when": "write done or failed",
    "commands": "write deploy or upgrade; docs/audit.md names all commands",
}
# The hint for a wrong value, by the names on the way to it.
_WRITTEN = {
    "": _EXAMPLE,
    "channels": _EXAMPLE,
    "channels.name": "name: ops",
    "channels.webhook": "webhook: https://ops.example/hook, or {file: /path} with a URL that is secret",
    "channels.form": "form: json",
    "channels.when": "when: [failed]",
    "channels.commands": "commands: [deploy, upgrade]",
    "channels.mail": _MAIL,
    "channels.mail.to": "to: [ops@example.org]",
    "channels.mail.from": "from: toolkit@example.org",
    "channels.mail.server": "server: smtp.example.org:587",
    "channels.mail.tls": "tls: starttls",
    "channels.mail.user": "user: toolkit",
    "hooks": f"hooks: {{before: {_HOOK}}}",
    **{
        f"hooks.{when}{name}": written
        for when in ("before", "after")
        for name, written in (
            ("", f"{when}: {_HOOK}"),
            (".run", "run: [/usr/local/bin/my-hook]"),
            (".seconds", "seconds: 30"),
        )
    },
    **{
        f"channels.{name}{place}": written
        for name in ("webhook", "key", "apprise", "mail.password")
        for place, written in ((".variable", "variable: NAME"), (".file", "file: /path"))
    },
}


def load_notify(path: Path) -> NotifySettings:
    """Return the settings at `path`; raises InputError with file and line."""
    document = parse_yaml(path, read_text(path, limit=MAX_BYTES, hint=_GUIDE))
    return _Reader(document).settings()


class _Reader:
    def __init__(self, document: YamlText) -> None:
        self._document = document

    def settings(self) -> NotifySettings:
        top = self._mapping((), self._document.data, {"channels", "hooks"})
        listed = top.get("channels", [])
        if not isinstance(listed, list):
            raise self._fault(("channels",), "must be a list of channels")
        channels = tuple(
            self._channel(("channels", index), each) for index, each in enumerate(listed)
        )
        names = [each.name for each in channels]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise self._fault(
                    ("channels", index, "name"), f"{name} is there twice", "name each one otherwise"
                )
        hooks = self._mapping(("hooks",), top.get("hooks", {}), {"before", "after"})
        found = {name: self._hook(("hooks", name), each) for name, each in hooks.items()}
        return NotifySettings(channels, found.get("before"), found.get("after"))

    def _channel(self, where: Where, data: Any) -> Channel:
        fields = self._mapping(
            where, data, {"name", "webhook", "form", "key", "mail", "apprise", "commands", "when"}
        )
        ways = [each for each in ("webhook", "mail", "apprise") if each in fields]
        if len(ways) != 1:
            raise self._fault(where, "needs exactly one of webhook, mail and apprise", _EXAMPLE)
        for name in ("form", "key"):
            if name in fields and ways != ["webhook"]:
                raise self._fault((*where, name), "is for a webhook", _EXAMPLE)
        readers: dict[str, Callable[[Where, Mapping[str, Any]], Way]] = {
            "webhook": self._webhook,
            "mail": self._mail,
            "apprise": self._service,
        }
        when = self._words((*where, "when"), fields.get("when", ["done", "failed"]))
        commands = self._words((*where, "commands"), fields.get("commands", list(TOLD_COMMANDS)))
        for name, words, known in (
            ("when", when, {"done", "failed"}), ("commands", commands, RECORDED_COMMANDS),
        ):  # fmt: skip
            if not words:
                raise self._fault((*where, name), "must name one, or nobody is told")
            for index, each in enumerate(words):
                if each not in known:
                    near = difflib.get_close_matches(each, known, n=1)
                    hint = f"did you mean {near[0]}?" if near else _NAMES[name]
                    raise self._fault((*where, name, index), f"{each!r} is none of them", hint)
        return Channel(
            self._text((*where, "name"), fields.get("name"), _NAME, "a short name"),
            readers[ways[0]](where, fields),
            commands,
            "done" in when,
            "failed" in when,
        )

    def _webhook(self, where: Where, fields: Mapping[str, Any]) -> Webhook:
        at, url = (*where, "webhook"), fields["webhook"]
        form = fields.get("form", "json")
        if form not in ("json", "text"):
            raise self._fault((*where, "form"), "must be json, or text for Slack and Mattermost")
        return Webhook(
            self._secret(at, url) if isinstance(url, dict) else self._url(at, url),
            form == "text",
            self._secret((*where, "key"), fields["key"]) if "key" in fields else None,
        )

    def _url(self, where: Where, data: Any) -> str:
        url = self._text(where, data, _URL, "an http(s) URL without a password")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise self._fault(where, f"is no URL: {error}") from None
        if not parts.hostname or port == 0:
            raise self._fault(where, "names no host and port")
        return url

    def _user(self, where: Where, data: Any) -> str:
        if not isinstance(data, (str, int)) or isinstance(data, bool):
            raise self._fault(where, "must be a user's name")
        name = str(data)
        if len(name) > _USER or not name.isprintable() or not name.strip():
            raise self._fault(where, "must be a user's name")
        return name

    def _port(self, where: Where, port: str) -> None:
        if port and not 0 < int(port) < 2**16:
            raise self._fault(where, f"has no port {port}: there are 1 to {2**16 - 1}")

    def _mail(self, where: Where, fields: Mapping[str, Any]) -> Mail:
        at = (*where, "mail")
        known = {"to", "from", "server", "tls", "user", "password"}
        data = self._mapping(at, fields["mail"], known)
        to = self._words((*at, "to"), data.get("to", []))
        for index, each in enumerate(to):
            self._text((*at, "to", index), each, _ADDRESS, "an address such as ops@example.org")
        if not to:
            raise self._fault((*at, "to"), "must list who gets the mail")
        tls = data.get("tls", "starttls")
        if tls not in list(_PORTS):
            raise self._fault((*at, "tls"), "must be starttls, tls or none")
        server = self._text((*at, "server"), data.get("server"), _SERVER, "HOST or HOST:PORT")
        host, _, port = server.partition(":")
        self._port((*at, "server"), port)
        if "password" in data and tls == "none":
            raise self._fault(
                (*at, "password"), "would go over the network in clear", "tls: starttls"
            )
        user = self._user((*at, "user"), data["user"]) if "user" in data else ""
        for name, other in (("user", "password"), ("password", "user")):
            if name in data and other not in data:
                raise self._fault((*at, name), f"logs nobody in without a {other}", f"add {other}")
        return Mail(
            to,
            self._text((*at, "from"), data.get("from"), _ADDRESS, "the sender's address"),
            host,
            int(port or _PORTS[tls]),
            tls,
            user,
            self._secret((*at, "password"), data["password"]) if "password" in data else None,
        )

    def _service(self, where: Where, fields: Mapping[str, Any]) -> Service:
        return Service(self._secret((*where, "apprise"), fields["apprise"]))

    def _hook(self, where: Where, data: Any) -> Hook:
        fields = self._mapping(where, data, {"run", "seconds"})
        run = self._words((*where, "run"), fields.get("run", []))
        if not run or not run[0].startswith("/"):
            raise self._fault((*where, "run"), "must begin with an absolute path")
        seconds = fields.get("seconds", 30)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise self._fault((*where, "seconds"), "must be a number of seconds")
        if not 0 < seconds <= MAX_SECONDS:
            raise self._fault(
                (*where, "seconds"), f"must be more than 0, and at most {MAX_SECONDS}"
            )
        return Hook(run, float(seconds))

    def _secret(self, where: Where, data: Any) -> SecretPlace:
        if not isinstance(data, dict):
            raise self._fault(where, "is a secret, so only its place stands here", _A_PLACE)
        fields = self._mapping(where, data, {"variable", "file"})
        if len(fields) != 1:
            raise self._fault(where, "needs one place", _A_PLACE)
        if "variable" in fields:
            at = (*where, "variable")
            return SecretPlace(
                variable=self._text(at, fields["variable"], _VARIABLE, "a variable's name")
            )
        path = self._text((*where, "file"), fields["file"], re.compile("/.+"), "an absolute path")
        return SecretPlace(file=path)

    def _mapping(self, where: Where, data: Any, known: Collection[str]) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self._fault(where, f"must be a mapping with {', '.join(sorted(known))}")
        for name in data:
            if name not in known:
                words = f"{name!r} is not known here; known: {', '.join(sorted(known))}"
                raise self._document.fault((*where, name), words, hint=_GUIDE, at_key=True)
        return data

    def _words(self, where: Where, data: Any) -> tuple[str, ...]:
        if not isinstance(data, list) or not all(isinstance(each, str) for each in data):
            raise self._fault(where, "must be a list of texts")
        return tuple(data)

    def _text(self, where: Where, data: Any, form: re.Pattern[str], what: str) -> str:
        if not isinstance(data, str) or not form.fullmatch(data):
            raise self._fault(where, f"must be {what}")
        return data

    def _fault(self, where: Where, words: str, hint: str = "") -> InputError:
        name = ".".join(str(each) for each in where if not isinstance(each, int))
        return self._document.fault(
            where, f"{name} {words}".lstrip(), hint=hint or _WRITTEN.get(name, _GUIDE)
        )
