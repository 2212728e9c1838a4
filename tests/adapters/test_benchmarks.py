"""lm-eval is installed once, asks through a port on loopback, and its scores are read."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from toolkit.adapters.benchmarks import environment as room
from toolkit.adapters.benchmarks import lm_eval
from toolkit.adapters.benchmarks.lm_eval import LmEval, read_scores
from toolkit.adapters.benchmarks.loopback import loopback
from toolkit.adapters.interruption import Interruption
from toolkit.domain.gates.guard import Benchmarks, Score
from toolkit.domain.replicas.answers import Answer
from toolkit.errors import HostError, InputError, SourceError


def silent(text: str) -> None:
    """Say nothing."""


def nobody(path: str, payload: Mapping[str, Any]) -> Answer:
    """Answer nothing."""
    return Answer(0)


def post(port: int, body: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", data=body)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_port_passes_questions_on_and_answers_back() -> None:
    asked: list[tuple[str, Mapping[str, Any]]] = []

    def ask(path: str, payload: Mapping[str, Any]) -> Answer:
        asked.append((path, payload))
        if payload["prompt"] == "lost":
            raise HostError("gpu1 does not answer")
        return (
            Answer(200, '{"choices": []}') if payload["prompt"] == "hi" else Answer(500, error="no")
        )

    with loopback(ask) as port:
        assert post(port, b'{"prompt": "hi"}') == (200, b'{"choices": []}')
        assert post(port, b'{"prompt": "bad"}') == (500, b"no")
        assert post(port, b'{"prompt": "lost"}') == (502, b"gpu1 does not answer")
        assert post(port, b"no JSON")[0] == 400
    assert asked[0] == ("/v1/completions", {"prompt": "hi"})


def output(
    place: Path, *, marks: str = '{"doc_id": 0, "filter": "none", "exact_match": 1.0}\n'
) -> Path:
    """Write what lm-eval 0.4.13 writes."""
    found = place / "out" / "tiny"
    found.mkdir(parents=True)
    results = {
        "results": {
            "sums": {
                "alias": "sums",
                "exact_match,none": 0.5,
                "exact_match_stderr,none": 0.1,
                "loss,none": 3,
            }
        },
        "higher_is_better": {"sums": {"exact_match": True, "loss": False}},
    }
    (found / "results_2026-11-26T20-16-05.134110.json").write_text(json.dumps(results))
    (found / "samples_sums_2026-11-26T20-16-05.134110.jsonl").write_text(marks)
    return place / "out"


def test_scores_are_read_with_the_marks_of_questions(tmp_path: Path) -> None:
    assert list(read_scores(output(tmp_path))) == [Score("sums", "exact_match", 0.5, {"0": 1.0})]


def test_filters_of_one_metric_are_scores_of_their_own(tmp_path: Path) -> None:
    found = tmp_path / "out" / "tiny"
    found.mkdir(parents=True)
    results = {
        "results": {
            "gsm8k": {
                "acc,none": 0.5,
                "exact_match,strict-match": 0.0,
                "exact_match,flexible-extract": 1.0,
            }
        },
        "higher_is_better": {"gsm8k": {"acc": True, "exact_match": True}},
    }
    (found / "results_2026.json").write_text(json.dumps(results))
    marks = [("none", "acc", 0.5), ("strict-match", "exact_match", 0)]
    marks += [("flexible-extract", "exact_match", 1)]
    lines = [json.dumps({"doc_id": 7, "filter": name, of: mark}) for name, of, mark in marks]
    (found / "samples_gsm8k_2026.jsonl").write_text("\n".join(lines))
    assert list(read_scores(tmp_path / "out")) == [
        Score("gsm8k", "acc", 0.5, {"7": 0.5}),
        Score("gsm8k", "exact_match (flexible-extract)", 1.0, {"7": 1.0}),
        Score("gsm8k", "exact_match (strict-match)", 0.0, {"7": 0.0}),
    ]


def test_output_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not understood"):
        list(read_scores(tmp_path))
    with pytest.raises(InputError, match="not understood"):
        list(read_scores(output(tmp_path, marks="no JSON\n")))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1" + "0" * 400])
def test_a_score_that_is_no_number_is_refused(tmp_path: Path, value: str) -> None:
    """Nothing is less than NaN, so a release with such a score would pass."""
    (results,) = output(tmp_path).glob("*/results_*.json")
    results.write_text(results.read_text().replace(": 0.5", f": {value}"))
    with pytest.raises(InputError, match="not understood"):
        list(read_scores(tmp_path / "out"))


@pytest.mark.parametrize("value", ["NaN", "-1e999", "1" + "0" * 400])
def test_a_mark_that_is_no_number_is_refused(tmp_path: Path, value: str) -> None:
    line = f'{{"doc_id": 3, "filter": "none", "exact_match": {value}}}\n'
    with pytest.raises(InputError, match="not understood"):
        list(read_scores(output(tmp_path, marks=line)))


def test_half_a_letter_in_a_question_is_refused(tmp_path: Path) -> None:
    line = '{"doc_id": "\\ud800", "filter": "none", "exact_match": 1}\n'
    with pytest.raises(InputError, match="not understood"):
        list(read_scores(output(tmp_path, marks=line)))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Makes an environment that has no package; returns where they were made."""
    made: list[Path] = []

    def install(place: Path, lock: Path, interruption: Interruption) -> None:
        made.append(place)
        (place / "bin").mkdir(parents=True)
        program = place / "bin" / "python"
        program.write_text(
            f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n'
            'while [ "$1" != --output_path ]; do shift; done\n'
            f'cat {tmp_path}/words\n[ -d {tmp_path}/out ] || exit 1\ncp -r {tmp_path}/out "$2"\n'
        )
        program.chmod(0o755)

    monkeypatch.setattr(room, "install", install)
    (tmp_path / "words").write_text("Traceback\nValueError: no task\n")
    return made


def test_it_is_installed_once_whoever_asks(installed: list[Path], tmp_path: Path) -> None:
    said: list[str] = []
    threads = [
        threading.Thread(target=room.environment, args=(tmp_path, Interruption(), said.append))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.parent for each in installed] == [tmp_path / "benchmarks"]
    assert said == ["  benchmarks: installing lm-eval, once (600 MB)"]


def test_what_was_left_half_done_is_made_again(installed: list[Path], tmp_path: Path) -> None:
    python = room.environment(tmp_path, Interruption(), silent)
    (python.parents[1] / "complete").unlink()
    assert room.environment(tmp_path, Interruption(), silent) == python
    assert len(installed) == 2


def test_a_lock_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(SourceError, match="lm-eval cannot be installed"):
        room.install(tmp_path / "place", tmp_path / "missing", Interruption())


def test_every_package_of_the_lock_has_its_digests() -> None:
    text = room.LOCK.read_text()
    assert "lm-eval==0.4.13" in text
    packages = [line for line in text.splitlines() if line and line[0] not in "# "]
    assert len(packages) > 60
    assert all("==" in line and line.endswith("\\") for line in packages)


def test_the_replica_alone_is_asked_for_the_tasks_of_the_guard(
    installed: list[Path], tmp_path: Path
) -> None:
    output(tmp_path)
    asked = Benchmarks(("sums.yaml",), limit=7, directory=str(tmp_path))
    scores = LmEval(tmp_path, Interruption()).scores(asked, "tiny", nobody, silent)
    assert scores == (Score("sums", "exact_match", 0.5, {"0": 1.0}),)
    words = (tmp_path / "asked").read_text()
    assert f"--tasks {tmp_path}/sums.yaml --limit 7 --log_samples" in words
    assert "--model local-chat-completions" in words
    assert "/v1/chat/completions,model=tiny," in words


def test_its_own_words_say_why_it_failed(installed: list[Path], tmp_path: Path) -> None:
    asked = Benchmarks(("sums.yaml",), directory=str(tmp_path))
    with pytest.raises(InputError, match="lm-eval failed: ValueError: no task"):
        LmEval(tmp_path, Interruption()).scores(asked, "tiny", nobody, silent, chat=False)


def test_it_has_a_time_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def late(*_: Any, **more: Any) -> tuple[int, str]:
        raise subprocess.TimeoutExpired("lm_eval", more["timeout"])

    monkeypatch.setattr(lm_eval, "finished", late)
    monkeypatch.setattr(lm_eval, "environment", lambda *_: tmp_path)
    asked = Benchmarks(("sums.yaml",), timeout=60, directory=str(tmp_path))
    with pytest.raises(InputError, match="longer than 60 s"):
        LmEval(tmp_path, Interruption()).scores(asked, "tiny", nobody, silent)


def test_an_interruption_ends_a_command() -> None:
    interruption = Interruption()
    threading.Timer(0.2, interruption.begin).start()
    with pytest.raises(HostError, match="interrupted"):
        room.finished(["sleep", "60"], interruption, env={"PATH": "/usr/bin:/bin"})
