"""From facts to the wanted release, and every refusal before a byte moves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.planning.facts import GB, gpu, host, release, slot, version
from toolkit.adapters.history.history import History
from toolkit.adapters.store.manifest import snapshot_path, write_manifest
from toolkit.adapters.store.store import Store
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.change import Change
from toolkit.domain.deployment.release import Attempt, Outcome
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.gates.guard import Answers, Guard
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.registry.model import Permission, Policy, Version
from toolkit.errors import InputError, NothingSuitableError, RefusedError
from toolkit.planning.change.deploy import Wanted, plan_deploy
from toolkit.workflows.change.wanted import PinSources, Want, back, usual_start, want_version
from toolkit.workflows.tools import Timing

CPU_LOCK = EngineLock("vllm", "0.32.0", Accelerator.CPU, "3.11", "ab" * 32, "/x", 147)
CUDA_LOCK = replace(CPU_LOCK, accelerator=Accelerator.CUDA)
FILES = Snapshot(
    "demo/tiny",
    "1" * 40,
    (FileDigest("a.json", 5, "a" * 64), FileDigest("w.safetensors", 7, "b" * 64)),
)
PICKLED = Snapshot("demo/tiny", "1" * 40, (FileDigest("model.bin", 5, "a" * 64),))


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.db", lambda: 100.0)


@pytest.fixture
def want(tmp_path: Path, history: History) -> Callable[..., Wanted]:
    def wanted_on(
        facts: HostFacts, wanted: Version | None = None, *, files: Snapshot = FILES, **more: Any
    ) -> Wanted:
        pinned = PinSources(
            **{
                "policy": Policy(allowed=("mit",)),
                "snapshot_of": lambda _: files,
                "locks": (CPU_LOCK, CUDA_LOCK),
                "store": Store(tmp_path / "store"),
                **more,
            }
        )
        return want_version(wanted or version(), pinned, action="deploy")(facts)

    return wanted_on


def test_what_is_wanted_is_the_release_and_what_is_missing(want: Callable[..., Wanted]) -> None:
    asked = want(host())
    assert (asked.release.title, asked.release.accelerator) == ("tiny #0 (v1)", "cpu")
    assert (asked.snapshot_size, asked.missing_bytes) == (12, 12)


def test_what_is_permitted_is_said_in_the_plan(want: Callable[..., Wanted]) -> None:
    permission = Permission(
        True, ("bin",), "reviewed by Ada", ("kv-transfer-config", "VLLM_PLUGINS")
    )
    asked = want(host(), version(permission=permission))
    remark = "permitted for tiny@v1: code, bin, kv-transfer-config, VLLM_PLUGINS (reviewed by Ada)"
    assert plan_deploy(asked, host()).notes == (remark,)
    assert plan_deploy(want(host()), host()).notes == ()


def test_what_differs_from_what_serves_is_in_the_plan(
    want: Callable[..., Wanted], tmp_path: Path
) -> None:
    first = want(host()).release
    serving = host(slots=(slot("blue", replace(first, number=1), weight=100),))
    assert plan_deploy(want(serving), serving).changes == ()
    changed = version(name="v2", serving={"max-model-len": 512})
    found = plan_deploy(want(serving, changed), serving).changes
    assert found == (Change("version", "v1", "v2"), Change("--max-model-len", "", "512"))


def test_golden_prompts_that_the_model_cannot_be_asked_are_refused(
    want: Callable[..., Wanted], tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text("- {prompt: hi, expect: {contains: hello}}\n")
    guard = Guard(answers=Answers("x.yaml", directory=str(tmp_path)))
    assert want(host(), version(kind="chat", guard=guard)).guard == guard
    with pytest.raises(
        InputError, match=r"x\.yaml:1: a prompt of kind chat, and the model does emb"
    ):
        want(host(), version(kind="embedding", guard=guard))


SETTINGS = "generation_config.json"


def _with_settings(store: Path, revision: str, text: bytes | None) -> Snapshot:
    """Return a snapshot with these sampling defaults, in the store unless it has no text."""
    digest = hashlib.sha256(text or revision.encode()).hexdigest()
    files = (FileDigest(SETTINGS, len(text or b"12345"), digest),)
    made = Snapshot("demo/tiny", revision * 40, files)
    if text is not None:
        place = store / "snapshots" / snapshot_path(made.source, made.revision)
        (place / "files").mkdir(parents=True)
        (place / "files" / SETTINGS).write_bytes(text)
        write_manifest(place, made, "mit", 1.0)
    return made


FIELD = [Change(f"{SETTINGS}: max_new_tokens", "2048", "512")]


@pytest.mark.parametrize(
    ("stored", "known", "found"),
    [
        ((True, True), True, FIELD),
        ((True, False), True, [Change(SETTINGS, "24 B", "5 B")]),
        ((False, True), True, [Change(SETTINGS, "5 B", "23 B")]),
        (
            (False, True),
            False,
            [Change("small files such as generation_config.json", "",
             "not compared: the files of tiny #1 (v1) are not in this store or lock")],
        ),
    ],
    ids=["by its fields", "before it is pulled", "by the lock's digests", "of an unknown release"],
)  # fmt: skip
def test_a_change_of_sampling_defaults_alone_is_in_the_plan(
    want: Callable[..., Wanted],
    tmp_path: Path,
    stored: tuple[bool, bool],
    known: bool,
    found: list[Change],
) -> None:
    texts = (b'{"max_new_tokens": 2048}', b'{"max_new_tokens": 512}')
    former, new = (
        _with_settings(tmp_path / "store", revision, text if there else None)
        for revision, text, there in zip("12", texts, stored, strict=True)
    )
    first = replace(want(host(), files=former).release, number=1, revision=former.revision)
    serving = host(slots=(slot("blue", first, weight=100),))
    locked = {(former.source, former.revision): former} if known else {}
    asked = want(serving, version(name="v2", revision=new.revision), files=new, known=locked)
    assert list(asked.file_changes) == found


@pytest.mark.parametrize("gains", [True, False])
def test_sampling_defaults_that_one_version_lacks_are_in_the_plan_with_their_fields(
    want: Callable[..., Wanted], tmp_path: Path, gains: bool
) -> None:
    """A version that gains the file answers as short as it says, as one whose field changed."""
    store = tmp_path / "store"
    having = _with_settings(store, "1", b'{"max_new_tokens": 512}')
    lacking = Snapshot("demo/tiny", "2" * 40, (FileDigest("README.md", 1, "9" * 64),))
    place = store / "snapshots" / snapshot_path(lacking.source, lacking.revision)
    (place / "files").mkdir(parents=True)
    write_manifest(place, lacking, "mit", 1.0)
    former, new = (lacking, having) if gains else (having, lacking)
    first = replace(want(host(), files=former).release, number=1, revision=former.revision)
    serving = host(slots=(slot("blue", first, weight=100),))
    asked = want(serving, version(name="v2", revision=new.revision), files=new)
    values = ("", "512") if gains else ("512", "")
    assert Change(f"{SETTINGS}: max_new_tokens", *values) in asked.file_changes


def test_a_host_with_a_device_gets_the_engine_for_it(want: Callable[..., Wanted]) -> None:
    asked = want(host(devices=(gpu(0, 24, 24),)))
    assert (asked.release.accelerator, asked.release.engine) == ("cuda", CUDA_LOCK.id)


def test_the_last_start_says_how_long_the_next_will_take(history: History) -> None:
    assert usual_start(history, "tiny") == 60.0
    times = iter([10.0, 20.0, 58.0, 60.0])
    history._clock = lambda: next(times)
    opened = history.open_deployment(
        Attempt(model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="ann")
    )
    step = history.start_step(opened, "start", "blue")
    history.end_step(opened, step, Outcome.DONE)
    assert usual_start(history, "tiny") == 38.0


@pytest.mark.parametrize(
    ("facts", "more", "error", "words"),
    [
        (host(memory=GB), {}, NothingSuitableError, "tiny@v1 does not fit on localhost"),
        (host(), {"policy": Policy()}, RefusedError, "mit"),
        (host(), {"files": PICKLED}, RefusedError, "model.bin"),
        (host(), {"locks": ()}, InputError, "no lock for the engine vllm 0.32.0"),
        (host(python="3.14"), {}, NothingSuitableError, "for cpu on Python 3.14"),
    ],
)
def test_refusals_come_before_anything_is_fetched(
    want: Callable[..., Wanted],
    facts: HostFacts,
    more: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        want(facts, **more)


# rollbacks


def aimed(history: History, facts: HostFacts, number: int | None = None) -> Want:
    order = back("tiny", number, history, timing=Timing())
    assert order.aim is not None
    return order.aim({facts.name: facts}, ())


def goal(history: History, facts: HostFacts, number: int | None = None) -> int:
    return aimed(history, facts, number)(facts).release.number


def live(history: History, number: int, previous: int | None, action: str = "deploy") -> None:
    """Record that release `number` went live after `previous`."""
    if history.release("tiny", number) is None:
        history.add_release(release(number))
    opened = history.open_deployment(
        Attempt(
            model="tiny", action=action, release=number, previous=previous, slot="blue", actor="ann"
        )
    )
    history.end_deployment(opened, Outcome.LIVE)


ON_TWO = host(slot("green", release(2), weight=100))


def test_a_rollback_goes_to_what_was_live_before_and_back_again(history: History) -> None:
    live(history, 1, None)
    live(history, 2, 1)
    live(history, 3, 2)
    on_three = host(slot("blue", release(3), weight=100), slot("green", release(2)))
    assert goal(history, on_three) == 2
    live(history, 2, 3, "rollback")
    assert goal(history, host(slot("blue", release(3)), slot("green", release(2), weight=100))) == 3


def test_a_deployment_that_failed_was_never_live(history: History) -> None:
    live(history, 1, None)
    live(history, 2, 1)
    opened = history.open_deployment(
        Attempt(model="tiny", action="deploy", release=2, previous=5, slot="blue", actor="ann")
    )
    history.end_deployment(opened, Outcome.FAILED)
    assert goal(history, ON_TWO) == 1


@pytest.mark.parametrize("previous", [None, 2])
def test_starting_again_or_provisioning_is_no_change_of_release(
    history: History, previous: int | None
) -> None:
    live(history, 1, None)
    live(history, 2, 1)
    live(history, 2, previous)
    assert goal(history, ON_TWO) == 1


def test_any_release_can_be_named(history: History) -> None:
    for number, previous in ((1, None), (2, 1), (3, 2)):
        live(history, number, previous)
    assert goal(history, ON_TWO, 1) == 1
    for number in (0, -1, 9):
        with pytest.raises(InputError, match=f"tiny has no release {number}"):
            goal(history, ON_TWO, number)


def test_a_standby_on_the_host_will_do_without_a_history(history: History) -> None:
    facts = host(slot("blue", release(1)), slot("green", release(2), weight=100))
    assert goal(history, facts) == 1


def test_a_rollback_converges_nothing_else(history: History) -> None:
    live(history, 1, None)
    live(history, 2, 1)
    old = replace(ON_TWO, converged="old")
    assert aimed(history, old)(old).provision_digest == "old"
