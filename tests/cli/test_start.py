"""How little a command loads before it works: `--help` and a rollback must start at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THIRD_PARTY = {
    "ansible", "ansible_runner", "httpx", "huggingface_hub", "jinja2", "pydantic", "ruamel", "starlette", "uvicorn",
    "yaml",
}  # fmt: skip
LOADED = """
import sys
from toolkit.cli.main import main
sys.argv = ["toolkit", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    print("ended", ended.code, file=sys.stderr)
print(*sys.modules, sep="\\n", file=sys.stderr)
"""
REGISTRY = """
policy: {{licences: {{allowed: [mit]}}}}
models:
  tiny:
    description: Made in house
    licence: mit
    openness: fully-open
    source: {{path: {place}/house}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 1GiB}}
"""


@pytest.fixture
def place() -> Iterator[Path]:
    found = Path(tempfile.mkdtemp(prefix="tks-"))
    yield found
    shutil.rmtree(found)


def loaded(place: Path, code: int, *words: str) -> set[str]:
    """Run a command in a process of its own; return what it had loaded when it ended with `code`."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(place)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    _, _, modules = done.stderr.partition(f"ended {code}\n")
    assert modules, done.stderr
    return set(modules.split())


def test_the_search_sees_what_a_command_loads(place: Path) -> None:
    """Else the other tests could not fail."""
    assert {"ruamel", "pydantic"} <= loaded(place, 0, "registry", "list")


def test_help_loads_neither_commands_nor_what_they_need(place: Path) -> None:
    modules = loaded(place, 0, "--help")
    assert modules & THIRD_PARTY == set()
    assert (
        modules & {"sqlite3", "asyncio", "ssl", "socket", "subprocess", "urllib.request"} == set()
    )
    commands = {name for name in modules if name.startswith("toolkit.cli.")}
    assert commands == {
        "toolkit.cli.main",
        "toolkit.cli.terminal",
        "toolkit.cli.terminal.columns",
        "toolkit.cli.terminal.output",
        "toolkit.cli.views",
        "toolkit.cli.views.dry_run",
        "toolkit.cli.terminal.table",
        "toolkit.cli.terminal.streams",
    }


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, ["status"]),
        (2, ["rollback", "x"]),
        (2, ["releases", "x"]),
        (2, ["logs", "x"]),
        (2, ["stop", "x"]),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_what_must_be_quick_loads_nothing_of_the_registry_the_hub_or_ansible(
    place: Path, code: int, words: list[str]
) -> None:
    modules = loaded(place, code, *words)
    assert modules & THIRD_PARTY == set()
    # What only a pull or a deployment of a version needs.
    assert (
        modules
        & {
            "toolkit.adapters.hub.port",
            "toolkit.adapters.store.store",
            "toolkit.adapters.engines.wheelhouse",
            "toolkit.config.registry.reading",
            "toolkit.planning.release.licence_policy",
            "toolkit.workflows.files.pull",
            "asyncio",
            "concurrent.futures",
            "ssl",
            "urllib.request",
        }
        == set()
    )


def test_a_pull_that_finds_everything_does_not_load_the_hubs_client(place: Path) -> None:
    (place / "house").mkdir()
    (place / "house" / "model.safetensors").write_bytes(bytes(8))
    (place / "model_registry.yaml").write_text(REGISTRY.format(place=place))
    registry = ("--registry", str(place / "model_registry.yaml"))
    for words in (["registry", "pin", "tiny", *registry], ["pull", "tiny", *registry]):
        assert loaded(place, 0, *words) & {"huggingface_hub", "httpx"} == set()


def test_a_wrong_command_line_loads_nothing_heavy(place: Path) -> None:
    assert loaded(place, 2, "deploy", "--nonsense") & THIRD_PARTY == set()
