"""The mirror, used by the clients that it serves."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.adapters.hub_server import Misbehaving, PublishedFiles
from tests.on_thread import serve_on_thread
from toolkit.adapters.mirror.app import mirror_app
from toolkit.adapters.mirror.server import listening_at
from toolkit.domain.files.snapshot import Snapshot
from toolkit.errors import InputError

REPO = "acme/tiny"
TENSORS = {"__metadata__": {"a": "b"}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
HEADER = json.dumps(TENSORS).encode()
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(8)
BIG = random.Random(7).randbytes(3 * 2**20 + 5)
FILES = {
    "config.json": b'{"architectures": ["Tiny"]}',
    "model.safetensors": WEIGHTS,
    "other.bin": BIG,
    "nested/deep/notes.txt": "ünïcode".encode(),
    "nested/with space#.txt": b"x",
}


@dataclass
class Serving:
    endpoint: str
    old: str
    new: str
    published: PublishedFiles
    server: Misbehaving

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.endpoint)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return httpx2.get(f"{self.endpoint}{path}", headers=named, timeout=60)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    published = PublishedFiles(tmp_path_factory.mktemp("origin"))
    old = published.publish(REPO, {"config.json": b"{}"}, licence="mit", names=("v1",))
    new = published.publish(REPO, FILES, licence="mit", names=("v2", "latest"))
    published.publish("acme/huge", {"huge.bin": bytes(2**25)})
    server = Misbehaving(mirror_app(published))
    with serve_on_thread(server) as endpoint:
        yield Serving(endpoint, old, new, published, server)


def test_hf_download_gets_every_file(serving: Serving, tmp_path: Path) -> None:
    hf = Path(sys.executable).with_name("hf")
    environment = {
        **os.environ,
        "HF_ENDPOINT": serving.endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    target = tmp_path / "target"
    command = [str(hf), "download", REPO, "--local-dir", str(target)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    got = {str(path.relative_to(target)): path.read_bytes() for path in _files(target)}
    assert got == FILES


def test_snapshot_download_of_a_commit_and_of_the_branch(serving: Serving, tmp_path: Path) -> None:
    for revision, expected in ((serving.old, {"config.json": b"{}"}), ("main", FILES)):
        path = Path(
            snapshot_download(
                REPO, revision=revision, endpoint=serving.endpoint, cache_dir=tmp_path
            )
        )
        assert path.name == (serving.new if revision == "main" else revision)
        assert {str(p.relative_to(path)): p.read_bytes() for p in _files(path)} == expected


def test_checksums_verify_and_a_changed_byte_does_not(serving: Serving, tmp_path: Path) -> None:
    snapshot_download(REPO, endpoint=serving.endpoint, local_dir=tmp_path)
    verify = serving.api.verify_repo_checksums
    good = verify(REPO, revision=serving.new, local_dir=tmp_path)
    assert (good.mismatches, good.missing_paths) == ([], [])
    (tmp_path / "other.bin").write_bytes(BIG[:-1] + b"!")
    (tmp_path / "config.json").write_bytes(b"{}" + FILES["config.json"][2:])
    bad = verify(REPO, revision=serving.new, local_dir=tmp_path)
    assert {each["path"] for each in bad.mismatches} == {"other.bin", "config.json"}


def test_the_mirror_describes_a_model(serving: Serving) -> None:
    info = serving.api.model_info(REPO, files_metadata=True)
    assert (info.sha, info.gated, info.private) == (serving.new, False, False)
    assert info.card_data is not None
    assert info.card_data.license == "mit"
    sizes = {each.rfilename: each.size for each in info.siblings or ()}
    assert sizes == {path: len(content) for path, content in FILES.items()}
    lfs = {each.rfilename: each.lfs for each in info.siblings or () if each.lfs}
    assert set(lfs) == {"model.safetensors", "other.bin"}
    assert lfs["other.bin"].sha256 == hashlib.sha256(BIG).hexdigest()
    assert serving.api.model_info(REPO, revision=serving.old).sha == serving.old
    assert serving.api.model_info(REPO, revision=serving.old[:7]).sha == serving.old


def test_a_candidate_is_had_by_its_name_alone(tmp_path: Path) -> None:
    published = PublishedFiles(tmp_path)
    new = published.publish("acme/next", FILES, names=("v1",), candidate=True)
    with serve_on_thread(mirror_app(published)) as endpoint:
        api = HfApi(endpoint=endpoint)
        with pytest.raises(RevisionNotFoundError):
            api.model_info("acme/next")
        assert api.model_info("acme/next", revision="v1").sha == new
        assert api.list_repo_refs("acme/next").branches == []
        assert [each.id for each in api.list_models()] == ["acme/next"]
        assert "acme/next" in httpx2.get(f"{endpoint}/", timeout=60).text


def test_the_mirror_lists_files_and_trees(serving: Serving) -> None:
    assert serving.api.list_repo_files(REPO) == sorted(FILES)
    top = serving.api.list_repo_tree(REPO)
    assert [each.path for each in top] == [
        "config.json",
        "model.safetensors",
        "nested",
        "other.bin",
    ]
    below = serving.api.list_repo_tree(REPO, "nested")
    assert [each.path for each in below] == ["nested/deep", "nested/with space#.txt"]
    every = serving.api.list_repo_tree(REPO, "nested", recursive=True)
    assert [each.path for each in every] == [
        "nested/deep",
        "nested/deep/notes.txt",
        "nested/with space#.txt",
    ]


def test_paths_info_refs_commits_and_metadata(serving: Serving) -> None:
    found = serving.api.get_paths_info(REPO, ["config.json", "absent", "other.bin"])
    assert [each.path for each in found] == ["config.json", "other.bin"]
    assert [each.target_commit for each in serving.api.list_repo_refs(REPO).branches] == [
        serving.new
    ]
    commits = serving.api.list_repo_commits(REPO)
    assert [each.commit_id for each in commits] == [serving.new, serving.old]
    older = serving.api.list_repo_commits(REPO, revision=serving.old)
    assert [each.commit_id for each in older] == [serving.old]
    metadata = serving.api.get_safetensors_metadata(REPO)
    assert metadata.files_metadata["model.safetensors"].tensors["w"].shape == [2]


def test_versions_are_tags(serving: Serving, tmp_path: Path) -> None:
    tags = {each.name: each.target_commit for each in serving.api.list_repo_refs(REPO).tags}
    assert tags == {"v1": serving.old, "v2": serving.new, "latest": serving.new}
    assert serving.api.model_info(REPO, revision="v1").sha == serving.old
    place = serving.api.snapshot_download(REPO, revision="v1", cache_dir=tmp_path)
    assert (Path(place) / "config.json").read_bytes() == b"{}"


def test_models_are_listed_and_found(serving: Serving) -> None:
    def names(**query: Any) -> list[str]:
        return [each.id for each in serving.api.list_models(**query)]

    assert names() == ["acme/huge", REPO]
    assert names(search="TIN") == names(author="Acme", filter="license:mit") == [REPO]
    assert names(author="nobody") == names(search="tinier") == []
    assert names(limit=1) == ["acme/huge"]
    assert names(sort="last_modified", full=True) == names(sort="downloads") == names()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hf")), "models", "ls"],
        env={**os.environ, "HF_ENDPOINT": serving.endpoint},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert REPO in done.stdout and "acme/huge" in done.stdout


@pytest.mark.parametrize(
    "limit", ["%D9%A3", "a%0d%0aX:%20y", "9" * 10_000], ids=["digit", "line", "long"]
)
def test_an_odd_limit_of_a_listing_is_refused_in_short(serving: Serving, limit: str) -> None:
    answer = serving.get(f"/api/models?limit={limit}")
    assert answer.status_code == 400
    assert len(answer.headers["X-Error-Message"]) < 200


@pytest.mark.parametrize("path", ["/acme/none", "/none", "/api/whoami-v2", "/favicon.ico"])
def test_what_is_no_repository_has_the_error_that_clients_know(serving: Serving, path: str) -> None:
    answer = serving.get(path)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")


def test_the_pointer_of_a_large_file_has_its_git_id(serving: Serving) -> None:
    (entry,) = serving.api.get_paths_info(REPO, ["other.bin"])
    digest = hashlib.sha256(BIG).hexdigest()
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(BIG)}\n"
    ).encode()
    expected = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()
    assert entry.blob_id == expected
    assert entry.lfs.pointer_size == len(pointer)


def test_xet_is_never_named(serving: Serving) -> None:
    tree = serving.get(f"/api/models/{REPO}/tree/main?recursive=true").text
    head = httpx2.head(f"{serving.endpoint}/{REPO}/resolve/main/other.bin", timeout=60).headers
    assert "xet" not in tree.lower()
    assert not [name for name in head if "xet" in name.lower()]
    assert head["x-linked-size"] == str(len(BIG))


HUGE = "/acme/huge/resolve/main/huge.bin"
URL = f"/{REPO}/resolve/main/other.bin"
SIZE = len(BIG)
RANGES = [
    ("bytes=0-9", 206, BIG[:10], f"bytes 0-9/{SIZE}"),
    ("bytes=10-", 206, BIG[10:], f"bytes 10-{SIZE - 1}/{SIZE}"),
    ("bytes=-7", 206, BIG[-7:], f"bytes {SIZE - 7}-{SIZE - 1}/{SIZE}"),
    (f"bytes={SIZE - 1}-{SIZE + 99}", 206, BIG[-1:], f"bytes {SIZE - 1}-{SIZE - 1}/{SIZE}"),
    (f"bytes=-{SIZE + 5}", 206, BIG, f"bytes 0-{SIZE - 1}/{SIZE}"),
    (f"bytes={SIZE}-", 416, b"", f"bytes */{SIZE}"),
    ("bytes=-0", 416, b"", f"bytes */{SIZE}"),
    ("bytes=9-3", 200, BIG, None),
    ("bytes=0-1,5-6", 200, BIG, None),
    ("pages=1-2", 200, BIG, None),
    ("bytes=", 200, BIG, None),
]


@pytest.mark.parametrize(("asked", "status", "body", "content_range"), RANGES)
def test_the_mirror_serves_ranges_of_a_file(
    serving: Serving, asked: str, status: int, body: bytes, content_range: str | None
) -> None:
    answer = serving.get(URL, Range=asked)
    assert (answer.status_code, answer.headers.get("Content-Range")) == (status, content_range)
    assert answer.content == body
    assert answer.headers["Content-Length"] == str(len(body))


def test_a_range_of_another_state_is_answered_whole(serving: Serving) -> None:
    tag = serving.get(URL, Range="bytes=0-0").headers["ETag"]
    assert serving.get(URL, Range="bytes=0-9", If_Range=tag).status_code == 206
    assert serving.get(URL, Range="bytes=0-9", If_Range='"older"').status_code == 200
    assert serving.get(URL, If_None_Match=tag).status_code == 304


ABSENT = [
    ("/api/models/acme/none", 404, "RepoNotFound"),
    ("/api/models/none", 404, "RepoNotFound"),
    ("/api/datasets/acme/tiny", 404, "RepoNotFound"),
    ("/acme/none/resolve/main/config.json", 404, "RepoNotFound"),
    (f"/api/models/{REPO}/revision/{'0' * 40}", 404, "RevisionNotFound"),
    (f"/api/models/{REPO}/tree/dev", 404, "RevisionNotFound"),
    (f"/{REPO}/resolve/{'0' * 40}/config.json", 404, "RevisionNotFound"),
    (f"/{REPO}/resolve/main/absent.json", 404, "EntryNotFound"),
    (f"/{REPO}/resolve/main/nested", 404, "EntryNotFound"),
    (f"/{REPO}/resolve/main/", 404, "EntryNotFound"),
    (f"/api/models/{REPO}/tree/main/absent", 404, "EntryNotFound"),
    (f"/{REPO}/resolve/main/..%2F..%2F..%2Fetc%2Fpasswd", 404, "EntryNotFound"),
    (f"/{REPO}/resolve/main/%2Fetc%2Fpasswd", 404, "EntryNotFound"),
    (f"/{REPO}/resolve/main/nested%2F..%2Fconfig.json", 404, "EntryNotFound"),
    (f"/{REPO}/resolve/main/config.json%00", 404, "EntryNotFound"),
    ("/api/models/..%2F..%2Fetc/passwd", 404, "RepoNotFound"),
    ("/nothing/here", 404, "RepoNotFound"),
    ("/api/models?pipeline_tag=text-generation", 400, "BadRequest"),
    ("/api/models?limit=-1", 400, "BadRequest"),
]


@pytest.mark.parametrize(("path", "status", "code"), ABSENT)
def test_anything_else_is_a_hubs_error(serving: Serving, path: str, status: int, code: str) -> None:
    answer = serving.get(path)
    assert (answer.status_code, answer.headers.get("X-Error-Code")) == (status, code)
    assert answer.json()["error"]


def test_the_client_raises_its_own_errors(serving: Serving) -> None:
    with pytest.raises(RepositoryNotFoundError):
        serving.api.model_info("acme/none")
    with pytest.raises(RevisionNotFoundError):
        serving.api.model_info(REPO, revision="dev")
    with pytest.raises(RemoteEntryNotFoundError):
        serving.api.hf_hub_download(REPO, "absent.json")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/api/repos/create", f"/api/models/{REPO}/commit/main", URL])
def test_nothing_can_be_written(serving: Serving, method: str, path: str) -> None:
    answer = httpx2.request(method, f"{serving.endpoint}{path}", content=b"{}", timeout=60)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_range_of_more_digits_than_a_size_has_is_answered_whole(serving: Serving) -> None:
    for asked in (f"bytes=0-{'9' * 5000}", f"bytes=-{'9' * 5000}", f"bytes={'9' * 5000}-"):
        answer = serving.get(f"/{REPO}/resolve/main/config.json", Range=asked)
        assert (answer.status_code, answer.content) == (200, FILES["config.json"])


def test_many_names_of_files_cost_no_search_each(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search through all files for each name would hold up everybody else for minutes."""

    def search(*_: object) -> None:
        raise AssertionError("the files were searched for one name")

    monkeypatch.setattr(Snapshot, "file", search)
    names = [*(f"x{number}" for number in range(100_000)), "config.json"]
    url = f"{serving.endpoint}/api/models/{REPO}/paths-info/main"
    answer = httpx2.post(url, json={"paths": names}, timeout=600)
    assert [each["path"] for each in answer.json()] == ["config.json"]


@pytest.mark.parametrize("body", [b"", b"other=1", b"{", b'{"paths": 3}', b"x" * (2**20 + 1)])
def test_paths_info_refuses_nonsense(serving: Serving, body: bytes) -> None:
    url = f"{serving.endpoint}/api/models/{REPO}/paths-info/main"
    kind = "application/json" if body[:1] == b"{" else "application/x-www-form-urlencoded"
    answer = httpx2.post(url, content=body, headers={"Content-Type": kind}, timeout=60)
    assert answer.status_code == 400


def test_a_client_that_leaves_does_not_hold_the_file(serving: Serving) -> None:
    with httpx2.stream("GET", f"{serving.endpoint}{HUGE}", timeout=60) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        assert _open_files("huge.bin") == 1
    deadline = time.monotonic() + 60
    while _open_files("huge.bin"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _open_files(name: str) -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += entry.readlink().name == name
    return found


def _files(place: Path) -> list[Path]:
    return [p for p in place.rglob("*") if p.is_file() and ".cache" not in p.parts]


def test_a_signal_that_comes_as_soon_as_it_listens_ends_it() -> None:
    script = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from tests.adapters.hub_server import PublishedFiles\n"
        "from toolkit.adapters.mirror.server import serve\n"
        "serve(PublishedFiles(Path()), '127.0.0.1:0', lambda _: os.kill(os.getpid(), signal.SIGINT))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], timeout=60, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("port", ["", "a", "-1", "65536", "\u00b2", "\u0661", "9" * 5000])
def test_an_address_without_a_port_is_refused(port: str) -> None:
    with (
        pytest.raises(InputError, match="is no address to bind"),
        listening_at(f"127.0.0.1:{port}"),
    ):
        pass


def test_a_name_that_cannot_be_asked_for_is_not_bound() -> None:
    with pytest.raises(InputError, match="cannot be bound"), listening_at("a" * 70 + ".example:1"):
        pass
