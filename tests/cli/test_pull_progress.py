"""What a watcher of a pull sees."""

from __future__ import annotations

import io

from toolkit.cli.views.pull import PullProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(stream: io.StringIO) -> str:
    """A pull of two files at 1 MB/s, told to the stream."""
    clock = Clock()
    progress = PullProgress(stream, clock)
    progress.begin("tiny@v1", 2, 20_000_000)
    for second in range(1, 11):
        clock.now = float(second)
        progress.advance("model.safetensors", 1_000_000)
    progress.advance("config.json", 10_000_000)
    progress.file_done("config.json", 10_000_000)
    progress.note("a remark")
    progress.end()
    return stream.getvalue()


def test_without_a_terminal_a_line_comes_every_few_seconds() -> None:
    assert watch(io.StringIO()).splitlines() == [
        "tiny@v1: 2 files, 20 MB",
        "tiny@v1  25%  5 MB of 20 MB  1 MB/s  15 s left  model.safetensors",
        "tiny@v1  50%  10 MB of 20 MB  1 MB/s  10 s left  model.safetensors",
        "  config.json  10 MB  verified",
        "a remark",
    ]


def test_on_a_terminal_one_line_is_drawn_again_and_again() -> None:
    text = watch(Terminal())
    drawn = [part for part in text.replace("\n", "\r").split("\r") if part.strip()]
    assert len(drawn) == 13
    assert drawn[1] == "tiny@v1  5%  1 MB of 20 MB  1 MB/s  19 s left  model.safetensors"
    assert drawn[10].startswith("tiny@v1  50%  10 MB of 20 MB")
    # Nothing of the live line is left at the end.
    assert text.endswith("  config.json  10 MB  verified\na remark\n")
    assert "\x1b" not in text


def test_nothing_to_fetch_divides_by_nothing() -> None:
    stream = Terminal()
    clock = Clock()
    progress = PullProgress(stream, clock)
    progress.begin("tiny@v1", 0, 0)
    clock.now = 1.0
    progress.advance("empty.txt", 0)
    progress.end()
    assert "100%  0 B of 0 B" in stream.getvalue()
