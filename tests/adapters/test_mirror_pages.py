"""The mirror as people meet it: in a browser, and by a command that is none of its clients."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.adapters.test_mirror import FILES, REPO, Serving, serving

__all__ = ["serving"]


@pytest.mark.parametrize(
    ("repo", "words"),
    [
        (REPO, "this mirror serves files and not git; get them with:"),
        (f"{REPO}.git", f"hf download {REPO}"),
        ("acme/none", "this mirror has no repository acme/none"),
    ],
)
def test_git_clone_says_what_to_do_instead(
    serving: Serving, tmp_path: Path, repo: str, words: str
) -> None:
    done = subprocess.run(
        ["git", "clone", f"{serving.endpoint}/{repo}", str(tmp_path / "cloned")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
    )
    assert done.returncode != 0
    assert words in done.stderr


def test_a_page_lists_the_models_and_says_how_to_get_them(serving: Serving) -> None:
    answer = serving.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert f"export HF_ENDPOINT={serving.endpoint}" in answer.text
    for words in (REPO, "v1, v2, latest", "mit", "acme/huge"):
        assert words in answer.text
    assert "<script" not in answer.text and "src=" not in answer.text
    odd = serving.get("/", Host='x"><script>alert(1)</script>').text
    assert "<script" not in odd


def test_the_page_of_a_repository_has_its_versions_and_files(serving: Serving) -> None:
    assert f'<a href="/{REPO}">{REPO}</a>' in serving.get("/").text
    answer = serving.get(f"/{REPO}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for words in (f"hf download {REPO}", "mit", "v1", serving.old, serving.new, *FILES):
        assert words in answer.text
    assert "<script" not in serving.get(f"/{REPO}", Host='x"><script>alert(1)</script>').text
    assert httpx2.head(f"{serving.endpoint}/{REPO}", timeout=60).status_code == 200
