"""An operator's Prometheus, asked for what it read of hosts' counters."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import re
import ssl
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from toolkit.adapters.http_chunks import possible_chunks
from toolkit.domain.bounds import SMALL_FILE
from toolkit.domain.excerpt import brief, excerpt
from toolkit.domain.hosts.metrics import Selection, Series
from toolkit.domain.outside import parse_mapping, plainly
from toolkit.domain.secret import Secret
from toolkit.errors import HostError, InputError
from toolkit.hostside.in_time import end_in_time
from toolkit.regular import open_regular

HOUR = 3600
# For one question, from its first byte to the last of its answer.
SECONDS = 60.0
_MOST_SECRET = 8192
_SETTING, _CREDENTIALS = "TOOLKIT_PROMETHEUS", "TOOLKIT_PROMETHEUS_CREDENTIALS"
_EXAMPLE = f"for example: {_SETTING}=http://10.0.0.9:9090"


class PrometheusPort(Protocol):
    """The questions to a Prometheus."""

    @property
    def address(self) -> str:
        """Its address, without secrets."""

    def by_hour(self, wanted: Selection, first: int, last: int) -> tuple[Series, ...]:
        """Return each series with its last value within each of the hours `first` to `last`, since the epoch.

        Raises HostError where Prometheus cannot be reached or answers with no figures, and InputError where the address
        is none of a Prometheus or the credentials are refused.
        """


class Prometheus:
    """The Prometheus at `address`, the URL of its pages.

    `credentials` is a token, or a name and a password with a colon between. Raises InputError for an address that is no
    URL, one that has credentials within, and one to which credentials would go in the clear.
    """

    def __init__(
        self, address: str, credentials: Secret | None = None, *, seconds: float = SECONDS
    ) -> None:
        self._address = checked_address(address)
        self._url, self._seconds = urlsplit(self._address), seconds
        self._credentials = credentials
        if credentials and self._url.scheme == "http" and not _is_here(self._host):
            raise InputError(
                f"credentials of Prometheus go over https, or to this machine: {self.address} is neither",
                hint=f"{_SETTING}=https://..., or a tunnel to 127.0.0.1",
            )

    @property
    def address(self) -> str:
        """See `PrometheusPort.address`."""
        return self._address

    def by_hour(self, wanted: Selection, first: int, last: int) -> tuple[Series, ...]:
        """See `PrometheusPort.by_hour`."""
        begin = (first + 1) * HOUR
        asked = {
            "query": f"last_over_time({_selector(wanted)}[1h])",
            "start": str(begin),
            "end": str((last + 1) * HOUR),
            "step": str(HOUR),
        }
        found = self._ask("/api/v1/query_range", asked)
        try:
            return parse_series(found, begin, last - first + 1)
        except ValueError as error:
            raise self._odd(f"its series cannot be read: {error}") from error

    @property
    def _host(self) -> str:
        return self._url.hostname or ""

    def _ask(self, path: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """Return the data of an answer."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._credentials:
            headers["Authorization"] = _authorization(self._credentials)
        connection = self._connection()
        end_in_time(connection, self._seconds)
        try:
            connection.request("POST", self._url.path + path, urlencode(asked), headers)
            answer = connection.getresponse()
            with possible_chunks():
                text = answer.read(SMALL_FILE + 1)
            if len(text) > SMALL_FILE:
                raise http.client.HTTPException(f"its answer is over {SMALL_FILE:,} bytes")
        except (OSError, http.client.HTTPException) as error:
            raise HostError(
                f"Prometheus at {self.address} does not answer: {error}",
                hint=f"{self.address}/-/ready",
            ) from error
        finally:
            connection.close()
        return self._data(answer.status, text)

    def _data(self, status: int, text: bytes) -> dict[str, Any]:
        if status in (401, 403):
            what = "the credentials" if self._credentials else "a request without credentials"
            raise InputError(
                f"Prometheus at {self.address} refuses {what} ({status})",
                hint=f"{_CREDENTIALS}=FILE names a file with a token, or with NAME:PASSWORD",
            )
        try:
            answer = parse_mapping(text, SMALL_FILE)
        except ValueError:
            answer = {}
        data = answer.get("data")
        if answer.get("status") == "success" and isinstance(data, dict):
            return data
        if status >= 500:
            raise self._odd(f"it answers {status}")
        if answer.get("status") == "error":
            raise self._odd(f"it says: {brief(str(answer.get('error')), 200)}")
        raise InputError(
            f"{self.address} is no address of a Prometheus: it answers {status} to /api/v1/query_range",
            hint=_EXAMPLE,
        )

    def _odd(self, words: str) -> HostError:
        return HostError(
            f"Prometheus at {self.address} has no figures: {words}", hint=f"{self.address}/-/ready"
        )

    def _connection(self) -> http.client.HTTPConnection:
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self._host, self._url.port, timeout=self._seconds, context=context
            )
        return http.client.HTTPConnection(self._host, self._url.port, timeout=self._seconds)


def checked_address(address: str) -> str:
    """Return the address without a slash at its end.

    Raises InputError where it is no URL of http or https, and where it has a name or a password, without telling them.
    """
    try:
        url = urlsplit(address)
        sound = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        sound, url = False, urlsplit("")
    if "@" in address:
        raise InputError(
            f"{_SETTING} has a name or a password, which commands would show",
            hint=f"{_CREDENTIALS}=FILE names a file with a token, or with NAME:PASSWORD",
        )
    if not sound or url.query or url.fragment or not re.fullmatch(r"[!-~]+", address):
        raise InputError(
            f"{_SETTING} is no URL of a Prometheus: {brief(ascii(address), 200)}", hint=_EXAMPLE
        )
    return address.rstrip("/")


def read_credentials(path: str) -> Secret:
    """Return the secret of a file of credentials. Raises InputError where the file cannot be read or has none."""
    try:
        # pathlib raises RuntimeError for the home of a user whom nobody knows.
        with open(os.path.expanduser(path), "rb", opener=open_regular) as file:  # noqa: PTH111
            text = file.read(_MOST_SECRET + 1).decode("ascii").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no plain text"
        raise InputError(
            f"{_CREDENTIALS}: {path} cannot be read: {why}",
            hint="a file with a token, or with NAME:PASSWORD, in one line",
        ) from None
    if not re.fullmatch(r"[!-~][ -~]*", text) or len(text) > _MOST_SECRET:
        raise InputError(
            f"{_CREDENTIALS}: {path} has not one line with a token, or with NAME:PASSWORD",
            hint="a file with a token, or with NAME:PASSWORD, in one line",
        )
    return Secret(text)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _authorization(credentials: Secret) -> str:
    text = credentials.reveal()
    # A token has no colon.
    if ":" in text:
        return f"Basic {base64.b64encode(text.encode()).decode()}"
    return f"Bearer {text}"


def _selector(wanted: Selection) -> str:
    parts = [
        f"{name}=~{json.dumps('|'.join(map(re.escape, values)))}"
        for name, values in wanted.labels.items()
    ]
    return f"{wanted.metric}{{{','.join(parts)}}}"


def parse_series(data: Mapping[str, Any], begin: int, hours: int) -> tuple[Series, ...]:
    """Return the series of an answer's data, with a value for each hour from `begin` on, in seconds since the epoch.

    Raises ValueError.
    """
    if data.get("resultType") != "matrix":
        raise ValueError("no series of values")
    try:
        return tuple(_series(each, begin, hours) for each in data["result"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(excerpt(plainly(error))) from error


def _series(found: Mapping[str, Any], begin: int, hours: int) -> Series:
    values: list[float | None] = [None] * hours
    for at, value in found["values"]:
        place = round((float(at) - begin) / HOUR)
        if 0 <= place < hours:
            number = float(value)
            # NaN and infinity are no counts.
            values[place] = number if 0 <= number < 2**53 else None
    labels = {str(name): str(value) for name, value in found["metric"].items()}
    labels.pop("__name__", None)
    return Series(labels, tuple(values))
