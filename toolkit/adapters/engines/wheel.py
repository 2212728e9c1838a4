"""Read single files of a wheel, on this machine or at a package index, without downloading all of it."""

from __future__ import annotations

import io
import urllib.request
import zipfile
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urlsplit

from toolkit.adapters.engines.packages import locate
from toolkit.domain.accelerator import Accelerator
from toolkit.errors import SourceError

# A wheel's table of contents is at its end; the largest ones take about this.
_TAIL = 2**20
_WINDOW = 2**19
_TIMEOUT = 30.0
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
        with _open(place) as file, zipfile.ZipFile(file) as wheel:
            wanted = [
                each
                for each in wheel.infolist()
                if any(fnmatchcase(each.filename, pattern) for pattern in patterns)
            ]
            if len(wanted) > _MOST_FILES or any(x.file_size > _LARGEST_FILE for x in wanted):
                raise SourceError(f"{place} has more files of its sources than an engine has")
            return {each.filename: wheel.read(each).decode("utf-8") for each in wanted}
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise SourceError(f"{place} cannot be read: {error}") from error


def _open(place: str) -> io.RawIOBase | io.BufferedReader:
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        return _RemoteFile(place)
    return Path(unquote(parts.path) if parts.scheme == "file" else place).open("rb")


class _RemoteFile(io.RawIOBase):
    """A file of a web server, read by ranges; the last window read is kept."""

    def __init__(self, url: str) -> None:
        self._url, self._position = url, 0
        self._start, self._window, self._size = self._fetch(f"-{_TAIL}")

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
            last = min(self._size, max(end, self._position + _WINDOW)) - 1
            self._start, self._window, _ = self._fetch(f"{self._position}-{last}")
        data = self._window[self._position - self._start : end - self._start]
        self._position += len(data)
        return data

    def _fetch(self, span: str) -> tuple[int, bytes, int]:
        """Return where the answer starts, its bytes, and the size of the whole file."""
        request = urllib.request.Request(self._url, headers={"Range": f"bytes={span}"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                # `bytes 100-199/2000`
                told = answer.headers.get("Content-Range", "").removeprefix("bytes ")
                start, _, size = told.partition("/")
                if answer.status != 206 or not size.isdigit():
                    raise OSError("its server does not give parts of files")
                return int(start.partition("-")[0]), answer.read(), int(size)
        except URLError as error:
            raise OSError(str(error.reason)) from error
