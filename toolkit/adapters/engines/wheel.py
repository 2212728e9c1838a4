"""Read single files of a wheel, on this machine or at a package index, without downloading all of it."""

from __future__ import annotations

import io
import lzma
import re
import struct
import urllib.request
import zipfile
import zlib
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import unquote, urlsplit

from toolkit.adapters.engines.packages import locate
from toolkit.adapters.http_chunks import possible_chunks
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.bounds import READ_OF_WHEEL, WHEEL, WHEEL_CONTENTS
from toolkit.errors import SourceError
from toolkit.hostside.in_time import end_in_time

# A wheel's table of contents is at its end; the largest ones take about this.
_TAIL = 2**20
_WINDOW = 2**19
# Seconds of silence, and those for one answer, its redirects apart.
_TIMEOUT = 30.0
_ANSWER_SECONDS = 300.0
# Errors of the reader of archives, for one that is damaged, made to mislead, or packed in an unknown way.
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
# `bytes 100-199/2000`
_PART = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})\Z")
# Bounds for one that is no engine's.
_MOST_FILES = 500
_LARGEST_FILE = 8 * 2**20


def read_sources(
    pin: str, accelerator: Accelerator, python: str, patterns: Collection[str]
) -> Mapping[str, str]:
    """Return path -> text of the files that match `patterns` in the wheel of a package; raises SourceError."""
    places = locate(pin, accelerator, python)
    if not places:
        raise SourceError(f"{pin} has no wheel for {accelerator} on Python {python}")
    return read_wheel(places[0], patterns)


def read_wheel(place: str, patterns: Collection[str]) -> Mapping[str, str]:
    """Return path -> text of the files that match one of `patterns` in the wheel at `place`, a path or a URL.

    Raises SourceError where the wheel cannot be read, or its server does not give parts of files.
    """
    try:
        with _open(place) as file:
            return read_archive(file, place, patterns)
    except (OSError, ValueError) as error:
        # ValueError is of an address that is none, which an index may name or lead to.
        raise SourceError(f"{place} cannot be read: {error}") from error


def read_archive(
    file: io.RawIOBase | io.BufferedIOBase, place: str, patterns: Collection[str]
) -> Mapping[str, str]:
    """Return path -> text of the files that match one of `patterns` in a wheel; raises SourceError that names `place`.

    Raises SourceError also where the wheel holds more than an engine's sources.
    """
    try:
        with zipfile.ZipFile(file) as wheel:
            wanted = [
                each
                for each in wheel.infolist()
                if any(fnmatchcase(each.filename, pattern) for pattern in patterns)
            ]
            if len(wanted) > _MOST_FILES or any(x.file_size > _LARGEST_FILE for x in wanted):
                raise SourceError(f"{place} has more files of its sources than an engine has")
            return {each.filename: wheel.read(each).decode("utf-8") for each in wanted}
    except SourceError:
        raise
    except _DAMAGED as error:
        raise SourceError(f"{place} cannot be read: {error or type(error).__name__}") from error


def _open(place: str) -> io.RawIOBase | io.BufferedIOBase:
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        return _RemoteFile(place)
    return Path(unquote(parts.path) if parts.scheme == "file" else place).open("rb")


class _RemoteFile(io.RawIOBase):
    """A file of a web server, read by ranges; the last window read is kept."""

    def __init__(self, url: str) -> None:
        self._url, self._position, self._read = url, 0, 0
        self._start, self._window, self._size = self._fetch(f"-{_TAIL}", _TAIL)
        if self._size > WHEEL:
            raise OSError(f"a wheel of {self._size} bytes is none")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._position + size)
        if self._position >= end:
            return b""
        if not self._start <= self._position <= end <= self._start + len(self._window):
            if end - self._position > WHEEL_CONTENTS:
                raise OSError("its table of contents is larger than a wheel's")
            last = min(self._size, max(end, self._position + _WINDOW)) - 1
            span = f"{self._position}-{last}"
            self._start, self._window, _ = self._fetch(span, last + 1 - self._position)
            if self._start != self._position or len(self._window) < end - self._position:
                raise OSError("its server gives another part than the one asked for")
        data = self._window[self._position - self._start : end - self._start]
        self._position += len(data)
        return data

    def _fetch(self, span: str, most: int) -> tuple[int, bytes, int]:
        """Return where the answer starts, its bytes (at most `most`), and the size of the whole file."""
        request = urllib.request.Request(self._url, headers={"Range": f"bytes={span}"})  # noqa: S310
        try:
            with _opener().open(request, timeout=_TIMEOUT) as answer:
                part = _PART.match(answer.headers.get("Content-Range", ""))
                if answer.status != 206 or part is None:
                    raise OSError("its server does not give parts of files")
                with possible_chunks():
                    data = answer.read(most + 1)
                self._read += len(data)
                if len(data) > most or self._read > READ_OF_WHEEL:
                    raise OSError("its server gives more than was asked for")
                return int(part[1]), data, int(part[3])
        except (URLError, HTTPException) as error:
            raise OSError(str(getattr(error, "reason", error))) from error


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_http, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_https, request)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """The redirects of the library, which reads the body of each one whole."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """Return what asks servers, by way of the proxies of the environment, for answers that end."""
    return urllib.request.build_opener(_Http, _Https, _Redirects)


def _http(host: str, **more: Any) -> HTTPConnection:
    return _ending(HTTPConnection(host, **more))


def _https(host: str, **more: Any) -> HTTPConnection:
    return _ending(HTTPSConnection(host, **more))


def _ending(connection: HTTPConnection) -> HTTPConnection:
    end_in_time(connection, _ANSWER_SECONDS)
    return connection
