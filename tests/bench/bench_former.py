"""What a command takes against another checkout of this project: `toolkit status`, a no-op `deploy`, an upgrade.

Each checkout has a deployment of its own, on this machine and on whole hosts over SSH, since another checkout may
converge a host anew. The two take turns. With `--upgrades` both upgrade `--hosts`, one after the other, this checkout
with `guard: off`; a further table has the processors' seconds of both, which other work on the machine changes less. A
stub stands in for vLLM. Needs Linux and root.

    git worktree add --detach ../former COMMIT
    python tests/bench/bench_former.py ../former [--rounds 20] [--upgrades] [--hosts 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.lab import Lab, end_supervisor, free_port
from tests.adapters.host_lab import STUB, WAYS
from tests.fleet.lab import inventory_text
from tests.fleet.machine import missing
from tests.processor_time import Watch
from tests.system.stub_site import DOOR, MODEL, REGISTRY, engine_of, stub_site

HERE = Path(__file__).resolve().parents[2]
TARGET = 1.1
STATUS = ("status",)
DEPLOY = ("deploy", f"{MODEL}@v1", "--yes")
COMMANDS = {"status": (STATUS,), "no-op deploy": (DEPLOY,)}
# To and fro, with a start on each host; what both wait for by default would hide a difference.
UPGRADES = tuple(
    ("upgrade", MODEL, "--to", version, "--yes", "--bake", "0", "--no-standby")
    for version in ("v2", "v1")
)


@dataclass(frozen=True)
class Arm:
    """A checkout's own Python and the deployment that this checkout alone works on."""

    python: Path
    directory: Path
    """The ops machine's side: `fleet.yaml`, `model_registry.yaml`, `home`."""

    def toolkit(self, *words: str) -> str:
        """Run a command of the checkout; return what it printed."""
        places = {
            "TOOLKIT_HOME": str(self.directory / "home"),
            "TOOLKIT_HISTORY": "",
            "TOOLKIT_FLEET": str(self.directory / "fleet.yaml"),
            "TOOLKIT_REGISTRY": str(self.directory / "model_registry.yaml"),
        }
        # Neither the caller's directory nor its PYTHONPATH may lead to another checkout.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [self.python, "-m", "toolkit.cli.main", *words],
            cwd=self.directory,
            env={**kept, **places},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def prepare(self, *others: str, registry: str = REGISTRY) -> None:
        """Deploy the version `v1` of the model; pin others."""
        (self.directory / "model_registry.yaml").write_text(registry)
        model = self.directory / "model"
        model.mkdir()
        for version in ("v1", *others):
            (model / "behaviour.txt").write_text(f"good\nI am version {version}.\n")
            (model / "model.safetensors").write_bytes(version.encode() * 2048)
            self.toolkit("registry", "pin", MODEL, "--as", version)
            self.toolkit("pull", f"{MODEL}@{version}")
        self.toolkit(*DEPLOY)
        assert json.loads(self.toolkit(*DEPLOY, "--json"))["changed"] is False


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("former", type=Path, help="a checkout of another commit")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--upgrades", action="store_true", help="upgrades alone")
    parser.add_argument("--hosts", type=int, default=3, help="that are upgraded")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    times: dict[str, dict[str, list[float]]] = {}
    watch = Watch()
    with closing(watch), tempfile.TemporaryDirectory() as scratch:
        pythons = {
            name: python_of(checkout, Path(scratch, name))
            for name, checkout in (("former", given.former.resolve()), ("this", HERE))
        }
        if given.upgrades:
            with arms_over_ssh(pythons, given.hosts) as arms:
                arms["former"].prepare("v2")
                arms["this"].prepare("v2", registry=f"{REGISTRY}    guard: off\n")
                both = in_turns(arms, UPGRADES, given.rounds, watch)
                times[f"upgrade of {given.hosts} host(s)"] = both["clock"]
                times["processors' seconds"] = both["processors"]
        else:
            for place, arms_of in (("here", arms_here), ("over SSH", arms_over_ssh)):
                with arms_of(pythons) as arms:
                    for arm in arms.values():
                        arm.prepare()
                    for name, words in COMMANDS.items():
                        found = in_turns(arms, words, given.rounds, watch)
                        times[f"{name}, {place}"] = found["clock"]
    tell(times)
    if given.json:
        given.json.write_text(json.dumps(times))


def python_of(checkout: Path, directory: Path) -> Path:
    """Make an environment with the checkout's code and the packages of this one; return its Python."""
    venv.create(directory, symlinks=True)
    (site,) = directory.glob("lib/python*/site-packages")
    (site / "checkout.pth").write_text(f"{checkout}\n{sysconfig.get_path('purelib')}\n")
    for program in Path(sys.executable).parent.glob("ansible*"):
        (directory / "bin" / program.name).symlink_to(program)
    return directory / "bin" / "python"


@contextmanager
def arms_here(pythons: dict[str, Path]) -> Iterator[dict[str, Arm]]:
    """Give each checkout a root of its own on this machine."""
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with ExitStack() as stack:
        arms = {}
        for number, (name, python) in enumerate(pythons.items()):
            root = Path(tempfile.mkdtemp(prefix="toolkit-former-", dir="/var/tmp"))
            stack.callback(shutil.rmtree, root)
            root.chmod(0o755)
            stack.callback(end_supervisor, root)
            lab = Lab(root / "ops", root / "host", free_port(18900 + 200 * number), MODEL)
            lab.write_fleet()
            stack.callback(end_supervisor, lab.root)
            engine = engine_of(version)
            binaries = lab.root / "engines" / engine / "bin"
            binaries.mkdir(parents=True)
            shutil.copy(STUB, binaries / "vllm")
            shutil.copy(WAYS, binaries)
            (binaries / "vllm").chmod(0o755)
            (binaries / "python").symlink_to("/usr/bin/python3")
            (binaries.parent / ".complete").write_text(engine)
            arms[name] = Arm(python, lab.directory)
        yield arms


@contextmanager
def arms_over_ssh(pythons: dict[str, Path], hosts: int = 1) -> Iterator[dict[str, Arm]]:
    """Give each checkout whole hosts of its own, in an inventory of those alone."""
    with stub_site(hosts * len(pythons)) as site, ExitStack() as stack:
        arms = {}
        for number, (name, python) in enumerate(pythons.items()):
            machines = site.lab.machines[number * hosts : (number + 1) * hosts]
            # the sockets of connections lie in it, and their paths may have 107 characters
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            lab = replace(site.lab, machines=machines, directory=directory)
            stack.callback(lab.hang_up)
            lab.inventory.write_text(inventory_text(machines, DOOR))
            arms[name] = Arm(python, directory)
        yield arms


def in_turns(
    arms: dict[str, Arm], commands: Sequence[tuple[str, ...]], rounds: int, watch: Watch
) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of the clock and of the processors of each arm, with one of the commands in each round.

    The commands come in their order. The first round, which fills caches, is not counted.
    """
    times: dict[str, dict[str, list[float]]] = {
        what: {name: [] for name in arms} for what in ("clock", "processors")
    }
    for turn in range(rounds + 1):
        # what comes second finds the machine warmer, so the arms take turns in coming first
        for name in arms if turn % 2 == 0 else reversed(arms):
            watch.since()
            arms[name].toolkit(*commands[turn % len(commands)])
            processors, clock = watch.since()
            print(
                f"{turn} {name}: {clock:.1f} s, {processors:.1f} s of a processor", file=sys.stderr
            )
            if turn:
                times["clock"][name].append(clock)
                times["processors"][name].append(processors)
    return times


def tell(times: dict[str, dict[str, list[float]]]) -> None:
    """Print medians and the ratio to the former checkout."""
    print(f"{'':24}{'checkout':10}{'median s':>9}{'min s':>8}{'max s':>8}{'ratio':>7}")
    ratios = []
    for what, arms in times.items():
        base = statistics.median(arms["former"])
        for name, each in arms.items():
            middle = statistics.median(each)
            ratios.append(middle / base)
            print(f"{what:24}{name:10}{middle:>9.3f}{min(each):>8.3f}{max(each):>8.3f}{ratios[-1]:>7.2f}")  # fmt: skip
    worst = max(ratios)
    print(f"target: at most {TARGET} times the former; the worst was {worst:.2f}: "
          f"{'met' if worst <= TARGET else 'missed'}")  # fmt: skip


if __name__ == "__main__":
    main()
