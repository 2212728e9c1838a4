"""Hooks that are real programs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.pace import Pace
from tests.system.waiting import until
from toolkit.adapters.notices.hook import call_hook
from toolkit.domain.trail.channel import Hook


def hook(place: Path, text: str, seconds: float = 20.0) -> Hook:
    (place / "hook").write_text(f"#!/bin/sh\n{text}\n")
    (place / "hook").chmod(0o755)
    return Hook((str(place / "hook"),), seconds)


def test_a_hook_gets_the_plan_and_no_secret_of_the_environment(tmp_path: Path) -> None:
    called = call_hook(
        hook(tmp_path, f"cat > {tmp_path}/got; env > {tmp_path}/env; echo agreed"),
        {"event": "before", "plan": {"model": "tiny", "text": "x" * 200_000}},
        {**os.environ, "HF_TOKEN": "hf_secret", "TOOLKIT_HISTORY": "postgresql://a:b@c/d"},
    )
    assert (called.agreed, called.words) == (True, "agreed")
    assert json.loads((tmp_path / "got").read_text())["plan"]["model"] == "tiny"
    assert "secret" not in (tmp_path / "env").read_text()
    assert "postgresql" not in (tmp_path / "env").read_text()


def test_a_hook_refuses_with_its_last_words_also_where_it_reads_and_says_too_much(
    tmp_path: Path,
) -> None:
    noisy = hook(
        tmp_path,
        "exec 0<&-; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo no change on Friday; exit 3",
    )
    called = call_hook(noisy, {"plan": {"text": "x" * 200_000}})
    assert not called.agreed
    assert called.words.endswith("no change on Friday")
    assert len(called.words) <= 510


@pytest.mark.parametrize("letters", [800, 30_000])
def test_a_hook_s_last_words_have_no_secret_that_began_before_them(
    tmp_path: Path, letters: int
) -> None:
    called = call_hook(
        hook(
            tmp_path,
            f"head -c {letters} /dev/zero | tr '\\0' w > {tmp_path}/word\n"
            f'echo "Authorization: Bearer $(cat {tmp_path}/word)"; echo refused; exit 1',
        ),
        {},
    )
    assert called.words == "Authorization: Bearer *** refused"


def test_a_hook_s_last_words_begin_at_a_whole_word_where_earlier_ones_are_lost(
    tmp_path: Path,
) -> None:
    endless = hook(tmp_path, "echo secret=; head -c 100000 /dev/zero | tr '\\0' s; exit 1")
    assert call_hook(endless, {}).words == "it ended with 1"
    long = hook(tmp_path, "head -c 100000 /dev/zero | tr '\\0' s; echo; echo refused; exit 1")
    assert call_hook(long, {}).words == "refused"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_hook_that_takes_too_long_is_killed_with_its_children(tmp_path: Path, pace: Pace) -> None:
    text = f"sleep 600 & echo $! > {tmp_path}/child; echo thinking; wait"
    # A busy machine needs more time until the hook has a child and says so.
    for seconds in (1.0, 10.0, 60.0):
        begun = pace()
        called = call_hook(hook(tmp_path, text, seconds), {})
        assert pace() - begun < seconds + 20
        assert not called.agreed
        assert f"took longer than {seconds:.0f} s" in called.words
        if called.words.endswith("it said: thinking"):
            break
    assert called.words.endswith("it said: thinking")
    child = int((tmp_path / "child").read_text())
    until(lambda: not _runs(child), 60)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_hook_that_is_no_program_does_not_agree(tmp_path: Path) -> None:
    called = call_hook(Hook((str(tmp_path / "absent"),)), {})
    assert (
        called.agreed,
        called.words.endswith("cannot be called: No such file or directory"),
    ) == (False, True)
