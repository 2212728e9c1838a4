"""One machine with a real engine, a real router and a real mirror: for whole-system tests and benchmarks."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.lab import Lab, end_supervisor, free_port
from demo.load import Load
from tests.adapters.accounts import accounts_of
from tests.json_documents import require_valid
from tests.system.models import CACHE, VARIANTS, made_models

# Two engines (3 GB each) stay here from one run to the next, and their packages in CACHE; `make clean` removes both.
ROOT = Path("/var/lib/toolkit-test")
# The engine before the registry's. Its lock is for one Python.
FORMER_ENGINE = Path(__file__).parent / "engine_locks" / "vllm-0.31.0-cpu-py311.lock"
TWO_ENGINES = sys.version_info[:2] == (3, 11)
FORMER = "0.31.0"
# Here it lies while `prune` removes what stands in its place.
_ASIDE = ROOT / "aside"
# What stays in ROOT: engines, and the program that installs them.
_KEPT = ("engines", "bin", "seals", _ASIDE.name)
_USER = "toolkit-test"


@dataclass(frozen=True)
class Served:
    """The lab, the exact answers of v1 and v2, and each variant's revision."""

    lab: Lab
    answers: dict[str, dict[str, str]]
    revisions: dict[str, str]
    endpoint: str

    def serve(self, version: str) -> None:
        """Make `version` the one that serves."""
        self.lab.toolkit("deploy", f"{self.lab.model}@{version}", "--yes", "--bake", "0")

    def slots(self) -> dict[str, str]:
        """Return version -> what its slot does: serving, standby, …"""
        seen = json.loads(self.lab.toolkit("status", "--json"))
        require_valid("status", seen)
        return {
            slot["release"]["version"]: "serving" if slot["weight"] else "standby"
            for slot in seen["slots"]
            if slot["healthy"]
        }

    def engines(self) -> dict[str, str]:
        """Return version -> the engine's version of each replica."""
        seen = json.loads(self.lab.toolkit("status", "--json"))
        return {
            slot["release"]["version"]: slot["release"]["engine"].split("-")[1]
            for slot in seen["slots"]
        }

    def load(self, *, streams: int = 0, pause: float = 0.5) -> Load:
        """Put two short workers on the router, or so many long streams."""
        long = "Count."
        chosen = {p: a for p, a in self.answers.items() if (p == long) is bool(streams)}
        return Load(
            self.lab.base_url,
            self.lab.model,
            chosen,
            short_workers=0 if streams else 2,
            stream_workers=streams,
            extra={"max_tokens": 900} if streams else None,
            # Two cores also have to start another vLLM meanwhile.
            pause=pause,
        ).start()


@contextmanager
def lab_with_engine(directory: Path) -> Iterator[Lab]:
    """A lab with the engine installed and nothing else; what it starts ends with it."""
    with _installed(directory) as lab:
        shutil.copytree(made_models(installed_engine()), lab.upstream)
        (lab.upstream / "home").mkdir(parents=True)
        try:
            yield lab
        finally:
            lab.toolkit("stop", lab.model, "--yes", check=False)


def installed_engine(version: str = "0.32.0") -> Path:
    """Return the directory of an engine that is installed here; raises LookupError where it is not."""
    found = [*ROOT.glob(f"engines/vllm-{version}-*/.complete")]
    if not found:
        raise LookupError(f"vLLM {version} is not installed in {ROOT}: make prepare")
    return found[0].parent


@contextmanager
def _installed(directory: Path) -> Iterator[Lab]:
    """A lab in `directory` whose host has the engine, installed now where no earlier run has left it.

    At the end its processes, its users and all files of the host but engines are gone.
    """
    with accounts_of(_USER) as user:
        _empty()
        try:
            yield _lab_of(directory, user)
        finally:
            _empty()


def _empty() -> None:
    """End what runs in ROOT, and remove all there but engines and what belongs to them."""
    end_supervisor(ROOT)
    others = [each for each in ROOT.glob("*") if each.name not in _KEPT]
    others += [each for each in ROOT.glob("seals/*") if not each.name.startswith("engines-")]
    for each in others:
        each.unlink() if not each.is_dir() else shutil.rmtree(each, ignore_errors=True)


def _lab_of(directory: Path, user: str) -> Lab:
    lab = Lab(directory, ROOT, free_port(18800), "tiny")
    lab.write_fleet()
    with (directory / "fleet.yaml").open("a") as fleet:
        fleet.write(f"      toolkit_user: {user}\n")
    home = directory / "home"
    home.mkdir(parents=True)
    (CACHE / "wheelhouse").mkdir(parents=True, exist_ok=True)
    (home / "wheelhouse").symlink_to(CACHE / "wheelhouse")
    # standard output is for the tables of benchmarks
    with redirect_stdout(sys.stderr):
        lab.toolkit("engine", "install", "0.32.0", "--yes", show=True)
    return lab


def install_former(lab: Lab) -> None:
    """Install the former engine from its lock, where this Python has one and no earlier run has left it."""
    if not TWO_ENGINES:
        return
    locks = lab.directory / "home" / "engines"
    locks.mkdir(exist_ok=True)
    shutil.copy(FORMER_ENGINE, locks)
    _take_back()
    if not [*ROOT.glob(f"engines/vllm-{FORMER}-*/.complete")]:
        with redirect_stdout(sys.stderr):
            lab.toolkit("engine", "install", FORMER, "--yes", show=True)


@contextmanager
def former_stays() -> Iterator[None]:
    """Put a few of the former engine's files in its place meanwhile: what removes it leaves it to the next run."""
    engine = installed_engine(FORMER)
    seal = ROOT / "seals" / f"engines-{engine.name}.json"
    shutil.rmtree(_ASIDE, ignore_errors=True)
    _ASIDE.mkdir()
    if seal.exists():
        shutil.copy2(seal, _ASIDE)
    engine.rename(_ASIDE / engine.name)
    try:
        shutil.copytree(
            _ASIDE / engine.name, engine, symlinks=True, ignore=shutil.ignore_patterns("lib*")
        )
        yield
    finally:
        _take_back()


def _take_back() -> None:
    """Put an engine that lies aside, and its seal, back where they were."""
    for each in [*_ASIDE.glob("vllm-*"), *_ASIDE.glob("engines-*.json")]:
        place = ROOT / ("engines" if each.is_dir() else "seals") / each.name
        if each.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        each.rename(place)
    shutil.rmtree(_ASIDE, ignore_errors=True)


@contextmanager
def lab_with_versions(lab: Lab) -> Iterator[Served]:
    """The lab with four versions of a model pinned from a mirror; none of them deployed yet."""
    known = lab.make_model(*VARIANTS)
    revisions = lab.publish(*VARIANTS)
    with lab.mirror() as endpoint:
        lab.write_registry()
        for variant, revision in revisions.items():
            lab.toolkit("registry", "pin", lab.model, revision, "--as", variant)
        answers = {
            prompt: {version: text for version, text in each.items() if version in ("v1", "v2")}
            for prompt, each in known.items()
        }
        yield Served(lab, answers, revisions, endpoint)


if __name__ == "__main__":
    with TemporaryDirectory() as scratch, _installed(Path(scratch)) as lab:
        install_former(lab)
        made_models(installed_engine())
