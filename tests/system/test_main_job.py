"""The main job with real vLLM, HAProxy, Ansible and the real Hub client, in the order of a model's life."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.clients.inside import nothing_inside_gets_outside
from tests.clients.report import change_under_load, doors, fill
from tests.clients.running import Door, install
from tests.clients.table import insert, render
from tests.planning.facts import GB, version
from tests.system.adapted import LORA, NAME, Adapted, known_answers
from tests.system.served import Served
from tests.system.waiting import until
from toolkit.domain.accelerator import Accelerator
from toolkit.planning.engines import engine_named

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
REPOSITORY = Path(__file__).parents[2]
WHO = "Which version are you?"
CLIENTS_PAGE = REPOSITORY / "docs" / "clients.md"
# v1 runs with this engine, the other versions with the registry's newer one: an upgrade changes the engine as well.
FORMER_ENGINE = Path(__file__).parent / "engine_locks" / "vllm-0.31.0-cpu-py311.lock"
TWO_ENGINES = sys.version_info[:2] == (3, 11)
ENGINES = {"v1": "0.31.0" if TWO_ENGINES else "0.32.0", "v2": "0.32.0"}


@pytest.fixture(scope="module", autouse=True)
def _engine_of_v1(served: Served) -> Iterator[None]:
    """Give v1 the former engine, where its lock is for this Python, and all versions room for LoRA adapters."""
    text = served.lab.registry.read_text("utf-8")
    with_room = text.replace("    checks:\n", f"{LORA}    checks:\n", 1)
    served.lab.registry.write_text(with_room, "utf-8")
    if TWO_ENGINES:
        locks = served.lab.directory / "home" / "engines"
        locks.mkdir(exist_ok=True)
        shutil.copy(FORMER_ENGINE, locks)
        changed, count = re.subn(
            r"^( +)(v1:\n)",
            r"\1\2\1  engine: {name: vllm, version: 0.31.0}\n",
            with_room,
            flags=re.M,
        )
        assert count == 1
        served.lab.registry.write_text(changed, "utf-8")
    yield
    served.lab.registry.write_text(text, "utf-8")


def test_the_first_deployment_serves(served: Served) -> None:
    served.lab.toolkit("deploy", "tiny@v1", "--yes", show=True)

    for prompt, known in served.answers.items():
        if prompt != "Count.":
            assert served.lab.ask(prompt) == known["v1"]
    models = _get(f"{served.lab.base_url}/v1/models")
    assert [each["id"] for each in models["data"]] == ["tiny"]
    assert served.slots() == {"v1": "serving"}


def test_the_same_again_changes_nothing(served: Served) -> None:
    before = json.loads(served.lab.toolkit("status", "--json"))["slots"]
    done = json.loads(served.lab.toolkit("deploy", "tiny@v1", "--yes", "--json"))
    after = json.loads(served.lab.toolkit("status", "--json"))["slots"]

    assert done["changed"] is False
    assert [s["started_at"] for s in after] == [s["started_at"] for s in before]


def test_what_a_client_must_not_reach_answers_in_openai_s_shape(served: Served) -> None:
    for path, body, status in (
        ("/v1/chat/completions", {"model": "nobody", "messages": []}, 404),
        ("/v1/chat/completions", {"messages": []}, 400),
        ("/pause", {"model": "tiny"}, 404),
        ("/invocations", {"model": "tiny"}, 404),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            _post(served.lab.base_url + path, body)
        with caught.value as answer:  # it holds the connection until it is closed
            assert answer.code == status
            assert json.load(answer)["error"]["message"]


def test_a_client_may_offer_tools_which_the_template_shows_the_model(served: Served) -> None:
    (release,) = [
        slot["release"] for slot in json.loads(served.lab.toolkit("status", "--json"))["slots"]
    ]
    assert (release["does"]["kind"], release["does"]["tool_parser"]) == ("chat", "hermes")
    tool = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object"}},
    }
    asked = {"model": "tiny", "messages": [{"role": "user", "content": WHO}], "max_tokens": 8}
    _post(f"{served.lab.base_url}/v1/chat/completions", {**asked, "tools": [tool]})


def test_a_stream_passes_token_by_token(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.lab.port, timeout=120)
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Count."}], "stream": True}
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps({**body, "max_tokens": 200, "temperature": 0}),
        {"Content-Type": "application/json"},
    )
    response = connection.getresponse()
    assert response.status == 200
    arrivals = []
    while line := response.readline():
        if line.startswith(b"data: {"):
            arrivals.append(time.monotonic())
    connection.close()

    assert len(arrivals) > 150
    # Held back and sent in clumps, most tokens would arrive within the same millisecond as another.
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert sum(gap > 0.001 for gap in gaps) > len(gaps) / 2


def test_an_adapter_comes_changes_and_goes_without_a_restart_and_loses_no_request(
    served: Served,
) -> None:
    adapted, known = Adapted(served), known_answers(served)
    adapted.make(1, 2)
    before = _starts(served)
    adapted.pin(1)
    added = json.loads(served.lab.toolkit("deploy", "tiny@v1", "--yes", "--json"))
    assert added["plan"]["hosts"]["localhost"]["strategy"] == "adapt"
    listed = _get(f"{served.lab.base_url}/v1/models")["data"]
    assert [(each["id"], each.get("parent")) for each in listed] == [("tiny", None), (NAME, "tiny")]

    with adapted.load(known) as load:
        load.wait_for(lambda report: report.versions.get("turn1", 0) > 5, 60)
        adapted.pin(2)
        changed = json.loads(served.lab.toolkit("deploy", "tiny@v1", "--yes", "--json"))
        load.wait_for(lambda report: report.versions.get("turn2", 0) > 5, 60)
        back = json.loads(served.lab.toolkit("rollback", "tiny", "--yes", "--json"))
        mark = time.time()
        load.wait_for(lambda report: (report.last_sent("turn1", after=mark) or 0) > 0, 60)
    report = load.report()
    assert _starts(served) == before
    assert report.bad == ()
    assert report.versions.keys() == {"turn1", "turn2"}
    print({"added": added["seconds"], "changed": changed["seconds"], "back": back["seconds"]})
    print({"lost": len(report.bad), "answers": len(report.answers)})
    assert served.lab.ask(WHO) == "I am version v1."

    # Neither the engine's calls nor a name of the engine's own are within a client's reach.
    for path, body in (
        ("/v1/load_lora_adapter", {"lora_name": "x", "lora_path": "/etc"}),
        ("/v1/unload_lora_adapter", {"lora_name": NAME}),
        ("/v1/chat/completions", {"model": f"{NAME}@{'0' * 12}", "messages": []}),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            _post(served.lab.base_url + path, body)
        with caught.value as answer:
            assert answer.code == 404

    # After a crash or a boot the replica starts with what it has now.
    run = (served.lab.root / "slots" / "tiny-blue" / "run").read_text()
    modules = re.findall(rf"{NAME}=\S*/snapshots/([0-9a-f]{{64}})", run)
    assert modules == [back["plan"]["hosts"]["localhost"]["release"]["adapters"][0]["snapshot"]]
    assert _asked(served, NAME, WHO) == known[WHO]["turn1"]

    adapted.remove()
    served.lab.toolkit("deploy", "tiny@v1", "--yes")
    assert [each["id"] for each in _get(f"{served.lab.base_url}/v1/models")["data"]] == ["tiny"]


def test_upgrade_and_rollback_lose_no_request(served: Served) -> None:
    short, long = served.load(), served.load(streams=1)
    try:
        short.wait_for(lambda report: len(report.answers) > 5, 120)
        served.lab.toolkit("upgrade", "tiny", "--to", "v2", "--yes", "--bake", "3", show=True)
        short.wait_for(lambda report: report.versions.get("v2", 0) > 5, 120)
        long.wait_for(lambda report: report.versions.get("v2", 0) > 0, 120)
        assert served.slots() == {"v1": "standby", "v2": "serving"}
        assert served.engines() == ENGINES

        done = json.loads(served.lab.toolkit("rollback", "tiny", "--yes", "--json"))
        mark = time.time()
        short.wait_for(lambda report: (report.last_sent("v1", after=mark) or 0) > 0, 120)
    finally:
        reports = (short.stop(), long.stop())

    plan = done["plan"]["hosts"]["localhost"]
    assert plan["strategy"] == "switch"
    assert "start" not in [step["kind"] for step in plan["steps"]]
    assert served.slots() == {"v1": "serving", "v2": "standby"}
    for report in reports:
        assert report.bad == ()
        assert report.versions.keys() == {"v1", "v2"}
        assert report.last_sent("v2", after=mark) is None


def test_twelve_clients_of_others_do_what_the_table_says(served: Served, tmp_path: Path) -> None:
    """The table of docs/clients.md is what this test finds; CLIENTS_TABLE=write writes it anew."""
    served.lab.toolkit("rollback", "tiny", "--yes")
    assert served.slots() == {"v1": "standby", "v2": "serving"}
    known = json.loads(served.lab.toolkit("keys", "add", "clients", "--json"))
    door = Door(served.lab.base_url, known["key"], "tiny", WHO, f"{served.lab.base_url}/healthz")
    libraries = install(tmp_path)

    try:
        nothing_inside_gets_outside(libraries, served.lab.toolkit, WHO, known["key"])
        with doors(libraries, door) as door_of:
            rows, faults = fill(libraries, door_of, served.answers[WHO])
            answered = change_under_load(
                libraries, door_of, lambda: served.lab.toolkit("rollback", "tiny", "--yes")
            )
    finally:
        served.lab.toolkit("keys", "revoke", "clients")
        served.lab.toolkit("keys", "open")

    assert faults == []
    for client, outcomes in answered.items():
        assert {each.refused for each in outcomes} == {""}, client
        # The objects that Instructor asks for do not say which version made them.
        told = {"True"} if client == "Instructor" else set(served.answers[WHO].values())
        assert {each.value for each in outcomes} == told, client
        rows[client]["version change"] = "works"
    page = insert(CLIENTS_PAGE.read_text("utf-8"), render(rows))
    if os.environ.get("CLIENTS_TABLE") == "write":
        CLIENTS_PAGE.write_text(page, "utf-8")
    assert CLIENTS_PAGE.read_text("utf-8") == page


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("broken-weights", "SafetensorError"),
        ("rubbish", "answered nothing"),
    ],
)
def test_a_bad_version_never_takes_traffic(served: Served, version: str, words: str) -> None:
    load = served.load()
    try:
        code, said = _run(served, "upgrade", "tiny", "--to", version, "--yes")
    finally:
        report = load.stop()

    assert code == 8
    assert words in said
    assert report.bad == ()
    assert report.versions.keys() == {"v1"}
    assert served.slots() == {"v1": "serving"}


def test_killed_in_the_middle_it_keeps_serving_and_the_next_command_finishes(
    served: Served,
) -> None:
    command = _start(served, "upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1")
    until(lambda: _running_step(served) == "start", 120)
    code, said = _run(served, "deploy", "tiny@v2", "--yes")
    assert code == 4
    assert f"(pid {command.pid})" in said
    assert "upgrade tiny --to v2" in said

    command.send_signal(signal.SIGKILL)
    command.communicate()
    assert served.lab.ask(WHO) == "I am version v1."
    assert "unfinished: deployment" in served.lab.toolkit("status")

    code, said = _run(served, "upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1")
    assert (code, "undoing it" in said) == (0, True)
    assert served.lab.ask(WHO) == "I am version v2."
    assert served.slots() == {"v1": "standby", "v2": "serving"}


def test_a_release_that_dies_right_after_the_switch_is_reverted(served: Served) -> None:
    load = served.load()
    try:
        command = _start(served, "deploy", "tiny@v1", "--yes", "--bake", "60")
        load.wait_for(lambda report: report.versions.get("v1", 0) > 0, 120)
        _kill_engine(served, "v1")
        said, _ = command.communicate(timeout=300)
    finally:
        report = load.stop()

    assert command.returncode == 8
    assert "failed its bake" in said
    assert served.lab.ask(WHO) == "I am version v2."
    assert served.slots() == {"v2": "serving"}
    # What died with it may be lost; nothing else is, and no answer is a mixture.
    assert {each.verdict for each in report.bad} <= {"failed", "truncated"}


def test_verify_names_a_tampered_file_and_a_repair_takes_it_out_of_use(served: Served) -> None:
    snapshots = [path for path in (served.lab.root / "snapshots").iterdir() if path.is_dir()]
    code, _ = _run(served, "verify")
    assert code == 0

    victim = snapshots[0] / "config.json"
    text = victim.read_text()
    victim.unlink()
    victim.write_text(text.replace("silu", "gelu"))
    code, said = _run(served, "verify")
    assert code == 6
    assert f"host {snapshots[0].name[:12]}: config.json: sha256" in said

    code, said = _run(served, "verify", "--repair")
    assert (code, "removed snapshot" in said) == (6, True)
    assert not snapshots[0].exists()


def test_what_runs_in_the_perimeter_pulls_from_the_mirror(served: Served, tmp_path: Path) -> None:
    python = next((served.lab.root / "engines").glob("vllm-0.32.0-*/bin/python"))
    done = subprocess.run(
        [python, "-c", _PULL, "local/tiny", served.revisions["v1"], served.endpoint],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HF_HOME": str(tmp_path / "hf"),
            "HF_ENDPOINT": served.endpoint,
            "DO_NOT_TRACK": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "Qwen3Config Qwen3ForCausalLM RevisionNotFoundError"


_PULL = """
import sys
repo, revision, endpoint = sys.argv[1:]
from huggingface_hub import snapshot_download
from huggingface_hub.errors import RevisionNotFoundError
from transformers import AutoModelForCausalLM
from vllm.transformers_utils.config import get_config
config = get_config(repo, trust_remote_code=False, revision=revision)
model = AutoModelForCausalLM.from_pretrained(repo, revision=revision)
try:
    snapshot_download(repo, revision="f" * 40)
except RevisionNotFoundError as error:
    print(type(config).__name__, type(model).__name__, type(error).__name__)
"""


def test_on_cuda_no_kernel_is_compiled_and_no_version_anew(served: Served) -> None:
    (engine,) = served.lab.root.glob("engines/vllm-0.32.0-cpu-*/.complete")
    environment = engine_named("vllm").environment(version(), Accelerator.CUDA, GB)
    script = Path(__file__).with_name("compiles_on_cuda.py")
    snapshots = [each for each in (served.lab.root / "snapshots").iterdir() if each.is_dir()][:2]
    asked = subprocess.run(
        [engine.parent / "bin" / "python", script, *snapshots],
        env={"PATH": "/usr/bin:/bin", "HOME": str(served.lab.directory), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    said = json.loads(asked.stdout.splitlines()[-1])
    assert said["released"] == {"sampler": False, "multiplication": False, "other": False}
    # Left alone, vLLM needs CUDA's compiler for both.
    assert said["bare"] == {"sampler": True, "multiplication": True}
    # Versions with the same configuration share their compiled graphs, because no digest is in the model's path.
    (first, first_by_path), (second, second_by_path) = said["keys"]
    assert first == second
    assert first_by_path != second_by_path


def test_stop_takes_the_model_out_and_prune_cleans_up(served: Served) -> None:
    served.lab.toolkit("stop", "tiny", "--yes")
    assert served.slots() == {}
    with pytest.raises(urllib.error.HTTPError) as caught:
        served.lab.ask(WHO)
    with caught.value as answer:
        assert answer.code == 404

    removed = json.loads(served.lab.toolkit("prune", "--keep", "1", "--yes", "--json"))["removed"]
    engines = removed["hosts"]["localhost"]["engines"]
    # No release that is kept runs with the former one.
    assert [each.split("-")[1] for each in engines] == (["0.31.0"] if TWO_ENGINES else [])
    assert len(list((served.lab.root / "snapshots").iterdir())) <= 1
    code, said = _run(served, "logs", "tiny", "--slot", "green")
    assert code == 0
    # the last words of vLLM's own main process
    assert "(APIServer pid=" in said


def test_a_model_that_no_device_holds_is_refused_before_any_download(served: Served) -> None:
    registry = REPOSITORY / "model_registry.yaml"
    code, said = _run(served, "deploy", "qwen-7b", "--yes", "--registry", str(registry))
    assert code == 3
    assert "CUDA device; there is no NVIDIA device" in said


def _run(served: Served, *words: str) -> tuple[int, str]:
    process = _start(served, *words)
    said, _ = process.communicate(timeout=600)
    print(said)
    return process.returncode, said


def _start(served: Served, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "toolkit.cli.main", *words],
        env={**os.environ, **served.lab.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _running_step(served: Served) -> str:
    unfinished = json.loads(served.lab.toolkit("status", "--json"))["unfinished"]
    return unfinished[0]["steps"][-1]["kind"] if unfinished and unfinished[0]["steps"] else ""


def _kill_engine(served: Served, version: str) -> None:
    seen = json.loads(served.lab.toolkit("status", "--json"))["slots"]
    slot = next(each for each in seen if each["release"]["version"] == version)
    found = subprocess.run(
        ["pgrep", "-f", f"serve .* --port {slot['port']}"], capture_output=True, text=True
    )
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)


def _starts(served: Served) -> list[float | None]:
    """Return when the process of each slot started."""
    seen = json.loads(served.lab.toolkit("status", "--json"))["slots"]
    return [slot["started_at"] for slot in seen]


def _asked(served: Served, model: str, prompt: str) -> str:
    """Return the answer of one model or adapter."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0}
    request = urllib.request.Request(
        f"{served.lab.base_url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: str = json.load(response)["choices"][0]["message"]["content"]
    return answer


def _get(url: str) -> dict[str, list[dict[str, str]]]:
    with urllib.request.urlopen(url, timeout=30) as response:
        found: dict[str, list[dict[str, str]]] = json.load(response)
    return found


def _post(url: str, body: object) -> None:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=30).close()
