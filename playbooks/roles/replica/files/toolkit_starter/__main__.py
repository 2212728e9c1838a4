"""Load the engine, fork the processes that its server will want, and be that server."""

from __future__ import annotations

import gc
import os
import runpy
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from toolkit_starter import ahead, engine
from toolkit_starter.ending import run_and_end


def say(words: str) -> None:
    """Write a line into the replica's log."""
    sys.stderr.write(f"(toolkit) {words}\n")
    sys.stderr.flush()


def serve(counts: Sequence[int], program: str) -> NoReturn:
    """Run the program as Python would run it by its name; in a forked process, be what its server wants."""
    reserved = ahead.reserve()
    engine.load()
    engine.permit_tiles()
    engine.rest_between_steps()
    # A fork copies the calling thread alone: what another thread holds at that moment would be held for ever.
    if threads := len(os.listdir("/proc/self/task")) - 1:
        say(f"no process is begun ahead, because the engine's modules run threads: {threads}")
    else:
        engine.know_model()
        # Modules stay loaded. The collector would write to all of their pages, and each process would copy them.
        gc.freeze()
        ahead.begin(counts, reserved, say)
    for each in reserved:
        os.close(each)
    run_and_end(partial(runpy.run_path, program, run_name="__main__"))


def main() -> None:
    """Read the words of the command line."""
    counts, program = sys.argv[1], sys.argv[2]
    if not engine.installed():
        os.execv(program, sys.argv[2:])  # noqa: S606 (the words are those of the slot's command)
    wanted = engine.expected(os.environ, len(os.sched_getaffinity(0)))
    if wanted != dict(os.environ):
        # A process loads libraries ahead of all others, and modules read their settings, where it begins.
        words = [sys.executable, "-m", "toolkit_starter", *sys.argv[1:]]
        os.execve(sys.executable, words, wanted)  # noqa: S606 (the same words)
    del sys.argv[:2]
    serve([int(each) for each in counts.split(",")], program)


main()
