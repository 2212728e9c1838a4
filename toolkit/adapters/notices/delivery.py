"""Deliver a notice on a channel: by a webhook, by mail, by Apprise. Secrets are read here, and go nowhere else."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from toolkit.domain.trail.channel import Channel, Mail, SecretPlace, Service, Webhook
from toolkit.domain.trail.discretion import without_secrets
from toolkit.domain.trail.notice import Notice
from toolkit.regular import open_regular

# One try on one channel, whatever the other side does.
TRY_SECONDS = 5.0
_MOST_SECRET = 8192
# To load Apprise takes a second or two.
_APPRISE_SECONDS, _APPRISE_BYTES = 10, 2**30
_SENDER = Path(__file__).with_name("apprise_sender.py")
_NOW_AND_THEN = (429, 500, 502, 503, 504)
# `Retry-After` in seconds; its other form is a date, which nobody sends for a limit of messages.
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class NotDelivered(Exception):
    """A notice did not arrive; `words` say why, and `again` whether a second try a moment later may help.

    The other side wants no try within the next `wait` seconds.
    """

    def __init__(self, words: str, *, again: bool = False, wait: float = 0.0) -> None:
        super().__init__(words)
        self.words, self.again, self.wait = words, again, wait


class PartlyDelivered(NotDelivered):
    """Some who are to be told have the notice, and a second try would tell them twice; `words` name the others."""


def deliver(
    channel: Channel, notice: Notice, now: float, environment: Mapping[str, str] = os.environ
) -> None:
    """Deliver the notice once; `now` is in seconds since the epoch. Raises NotDelivered, without any secret.

    It raises PartlyDelivered where a mail server took the mail for some of its receivers alone.
    """
    way = channel.way
    if isinstance(way, Webhook):
        _post(way, notice, now, environment)
    elif isinstance(way, Mail):
        _mail(way, notice, environment)
    else:
        _apprise(way, notice, environment)


def _post(way: Webhook, notice: Notice, now: float, environment: Mapping[str, str]) -> None:
    import httpx2

    url = way.url if isinstance(way.url, str) else _read(way.url, environment)
    if not url.startswith(("http://", "https://")):
        raise NotDelivered("its URL is not one of http or https")
    body = json.dumps(_slack(notice) if way.text_only else notice.as_json()).encode()
    headers = {"Content-Type": "application/json", "X-Toolkit-Event": notice.id}
    if way.key:
        key, at = _read(way.key, environment), f"{now:.0f}"
        signed = hmac.new(key.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers |= {"X-Toolkit-Timestamp": at, "X-Toolkit-Signature": f"sha256={signed}"}
    try:
        # The answer's body is not read: it may have no end.
        with httpx2.stream(
            "POST", url, content=body, headers=headers, timeout=TRY_SECONDS, follow_redirects=False
        ) as answer:
            status, leads_to = answer.status_code, answer.headers.get("location", "")
            wait = answer.headers.get("retry-after", "")
    except httpx2.InvalidURL as error:
        # It repeats the part that is wrong.
        why = str(error) if isinstance(way.url, str) else f"what {_place(way.url)} has"
        raise NotDelivered(f"its URL is none: {why}") from None
    except (httpx2.HTTPError, OSError) as error:
        words = without_secrets(str(error).replace(url, "***"), 200)
        raise NotDelivered(f"{type(error).__name__}: {words}", again=True) from None
    if 300 <= status < 400:
        host = _host(leads_to)[:200] or "another place"
        raise NotDelivered(f"it answered {status} and leads to {host}; redirects are not followed")
    if not 200 <= status < 300:
        seconds = float(wait) if _SECONDS.fullmatch(wait) else 0.0
        raise NotDelivered(f"it answered {status}", again=status in _NOW_AND_THEN, wait=seconds)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _slack(notice: Notice) -> dict[str, str]:
    """Return the form of Slack and Mattermost, in which these three characters have a meaning."""
    text = notice.text
    for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, name)
    return {"text": text}


def _mail(way: Mail, notice: Notice, environment: Mapping[str, str]) -> None:
    import smtplib
    import ssl
    from email.message import EmailMessage
    from email.utils import formatdate

    from toolkit.adapters.notices.smtp import BoundedSmtp, BoundedSmtpOverTls

    password = _read(way.password, environment) if way.password else ""
    if not f"{way.user}{password}".isascii():
        raise NotDelivered("its user or password has letters beyond ASCII, which no login carries")
    message = EmailMessage()
    message["Subject"] = " ".join(notice.title.split())
    message["From"], message["To"] = way.sender, ", ".join(way.to)
    message["Date"] = formatdate(notice.at)
    message["Message-ID"] = f"<{notice.id}@toolkit.invalid>"
    message.set_content(notice.text)
    context = ssl.create_default_context()
    refused: dict[str, tuple[int, bytes]] | None = None
    try:
        if way.tls == "tls":
            server: BoundedSmtp = BoundedSmtpOverTls(
                way.server, way.port, timeout=TRY_SECONDS, context=context
            )
        else:
            server = BoundedSmtp(way.server, way.port, timeout=TRY_SECONDS)
        with server:
            if way.tls == "starttls":
                server.starttls(context=context)
            if way.user:
                server.login(way.user, password)
            refused = server.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        # Of a mail that its server has taken, no end of the conversation matters: a second one would tell people twice.
        if refused is None:
            said = str(error)
            words = without_secrets(said.replace(password, "***") if password else said, 200)
            # A size or a text that the server takes in no case: that is this mail's fault, and others may pass.
            of_mail = smtplib.SMTPDataError | smtplib.SMTPSenderRefused
            lasting = isinstance(error, of_mail) and error.smtp_code >= 500
            raise NotDelivered(f"{type(error).__name__}: {words}", again=not lasting) from None
    if refused:
        said = "; ".join(
            f"{who} ({code} {why.decode(errors='replace')})" for who, (code, why) in refused.items()
        )
        raise PartlyDelivered(without_secrets(f"its server took no mail for {said}", 500))


def _apprise(way: Service, notice: Notice, environment: Mapping[str, str]) -> None:
    url = _read(way.url, environment)
    if importlib.util.find_spec("apprise") is None:
        raise NotDelivered("Apprise is not installed: pip install apprise")
    # The URL has secrets, and words of a command are for all to see.
    told = json.dumps({"url": url, "title": notice.title, "body": notice.text}).encode()
    bounds = (f"{_APPRISE_SECONDS}", f"{_APPRISE_BYTES}")
    try:
        ended = subprocess.run(
            [sys.executable, "-P", str(_SENDER), *bounds],
            input=told,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_APPRISE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NotDelivered("Apprise took too long", again=True) from None
    except OSError as error:
        raise NotDelivered(f"Apprise cannot be called: {error.strerror}", again=True) from None
    if ended.returncode == 3:
        raise NotDelivered("Apprise does not understand its URL")
    if ended.returncode:
        raise NotDelivered("Apprise could not deliver it", again=True)


def _place(secret: SecretPlace) -> str:
    return secret.file or f"the variable {secret.variable}"


def _read(secret: SecretPlace, environment: Mapping[str, str]) -> str:
    """Return the secret; raises NotDelivered where it is not at its place."""
    if secret.variable:
        if found := environment.get(secret.variable):
            return found
        raise NotDelivered(f"the variable {secret.variable} is not set")
    try:
        with open(secret.file, "rb", opener=open_regular) as file:
            found = file.read(_MOST_SECRET).decode().strip()
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else "not a text"
        raise NotDelivered(f"{secret.file} cannot be read: {words}") from None
    if not found:
        raise NotDelivered(f"{secret.file} is empty")
    return found
