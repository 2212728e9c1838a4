"""Requests to a Hub that end: their beginning, their size and their speed have bounds."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

import httpx2
from huggingface_hub.utils import get_session, hf_raise_for_status

from toolkit.domain.bounds import BEGIN_SECONDS, REDIRECTS, SLOW_SECONDS, SLOWEST

T = TypeVar("T")
# The encodings that the client library unpacks; other names, such as those of object stores, change nothing.
_PACKED = {"gzip", "deflate", "br", "zstd"}
# Headers that describe a body.
_OF_BODY = (b"content-encoding", b"content-length", b"transfer-encoding")


class TooSlowError(httpx2.ReadTimeout):
    """An answer that does not begin in time, or stays below the floor of speed."""


class TooLargeError(ValueError):
    """An answer that is larger than its kind may be."""


class Pace:
    """The speed of one answer, whose whole takes at most `longest` seconds."""

    def __init__(
        self, longest: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._since, self._gained = clock(), 0
        self._until = self._since + longest

    def gained(self, size: int) -> None:
        """Count `size` bytes; raises TooSlowError where the last seconds brought too few."""
        self._gained += size
        now = self._clock()
        if now > self._until:
            raise TooSlowError("an answer that takes too long")
        passed = now - self._since
        if passed < SLOW_SECONDS:
            return
        if self._gained < SLOWEST * passed:
            raise TooSlowError(f"below {SLOWEST} bytes per second")
        self._since, self._gained = now, 0


@contextmanager
def opened(
    url: str, headers: Mapping[str, str], timeout: float, *, accept: tuple[int, ...] = ()
) -> Iterator[httpx2.Response]:
    """Send a GET request and yield the answer, whose body is not read yet.

    `timeout` is the seconds of silence after which the request fails. Statuses in `accept` are no failure. Raises what
    `hf_raise_for_status` raises, and httpx2.HTTPError.
    """
    response = begun(lambda: _answered(url, headers, timeout), timeout)
    try:
        if response.status_code not in accept:
            raise_for_status(response)
        yield response
    finally:
        response.close()


def _answered(url: str, headers: Mapping[str, str], timeout: float) -> httpx2.Response:
    """Return the answer at the end of the redirects. The client library would read each redirect's body whole."""
    session = get_session()
    request = session.build_request("GET", url, headers=dict(headers), timeout=timeout)
    for _ in range(REDIRECTS):
        response = session.send(request, stream=True, follow_redirects=False)
        if response.next_request is None:
            return _plain(response)
        response.close()
        # The next request carries the token to the same origin alone.
        request = response.next_request
    raise httpx2.TooManyRedirects(f"more than {REDIRECTS} redirects", request=request)


def _plain(response: httpx2.Response) -> httpx2.Response:
    """Return an answer that is not compressed, as it was asked to be.

    A few bytes unpack to any size in one piece, before a bound can be looked at. Raises httpx2.DecodingError.
    """
    named = {
        each.strip().lower() for each in response.headers.get("Content-Encoding", "").split(",")
    }
    if response.is_success and named & _PACKED:
        response.close()
        raise httpx2.DecodingError("a compressed answer", request=response.request)
    return response


def read_answer(
    url: str, headers: Mapping[str, str], timeout: float, most: int, longest: float
) -> tuple[bytes, httpx2.Response]:
    """Return the body of an answer and the answer; raises TooLargeError where it has more than `most` bytes.

    `timeout` is the seconds of silence, `longest` those of the whole answer, after which the request fails.
    """
    with opened(url, headers, timeout) as response:
        pace, content = Pace(longest), bytearray()
        for piece in response.iter_bytes():
            content += piece
            if len(content) > most:
                raise TooLargeError(f"an answer of more than {most} bytes")
            pace.gained(len(piece))
        return bytes(content), response


def raise_for_status(response: httpx2.Response) -> None:
    """Raise the client library's error for a failed request, without the body: the library would read all of it."""
    if response.is_success:
        return
    if response.status_code < 400:
        raise ValueError(f"status {response.status_code} without an answer")
    bare = httpx2.Response(
        response.status_code,
        headers=[
            (key, value) for key, value in response.headers.raw if key.lower() not in _OF_BODY
        ],
        content=b"",
        request=response.request,
    )
    hf_raise_for_status(bare)


def begun(start: Callable[[], T], timeout: float) -> T:
    """Return what `start` returns; raises TooSlowError where it takes too long.

    A server that sends one byte of its headers at a time never meets a timeout, which counts silence alone. Nothing can
    end that wait in `start`, so a thread of its own does the waiting and is left behind.
    """
    running = _Running(start)
    if not running.ended(max(BEGIN_SECONDS, 2 * timeout)):
        raise TooSlowError("the answer does not begin")
    return running.result()


def steady(run: Callable[[], T], gained: Callable[[], int]) -> T:
    """Return what `run` returns; raises TooSlowError where `gained`, its bytes so far, stays below the floor of speed.

    `run` is left behind in a thread then.
    """
    running, before = _Running(run), gained()
    while not running.ended(SLOW_SECONDS):
        now = gained()
        if now - before < SLOWEST * SLOW_SECONDS:
            raise TooSlowError(f"below {SLOWEST} bytes per second")
        before = now
    return running.result()


class _Running(Generic[T]):
    """A function that runs in a thread of its own, which nobody has to wait for."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True, name="hub-request")
        self._thread.start()

    def ended(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether the function has ended."""
        self._thread.join(seconds)
        return bool(self._results or self._errors)

    def result(self) -> T:
        """Return the result of the function that has ended, or raise its error."""
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as error:
            self._errors.append(error)
