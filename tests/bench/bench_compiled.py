"""What the kept compiled tree saves a start: a first version that compiles, then others of the same configuration.

Real vLLM on the CPU with `enforce-eager: false`, which needs g++ here. Each version has weights of its own.

    python tests/bench/bench_compiled.py [--env NAME=VALUE] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.lab import Lab
from tests.system.served import ROOT, lab_with_engine, lab_with_versions

EAGER, COMPILED = "enforce-eager: true", "enforce-eager: false"
WARM_UP = re.compile(r"init engine .* took ([0-9.]+) s")
KERNEL = (".cpp", ".so", ".cubin", ".py")


@dataclass(frozen=True)
class Start:
    """A deployment and the start of its replica. Times are in seconds.

    `warm_up` is the engine's own for profile, cache and warming up, in which it compiles. `new` are files of kernels
    that the kept trees did not have, `kept` those that they had. `words` are the engine's own about compiling.
    """

    name: str
    deploy: float
    warm_up: float
    kept: int
    new: int
    words: tuple[str, ...]


def main() -> None:
    """Measure and print the table; exit with 1 where a start with a kept tree compiled anew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--env", metavar="NAME=VALUE", help="a variable of the engine")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if shutil.which("g++") is None:
        raise SystemExit("compiling on the CPU needs g++")
    with (
        tempfile.TemporaryDirectory() as directory,
        lab_with_engine(Path(directory) / "lab") as lab,
        lab_with_versions(lab),
    ):
        text = lab.registry.read_text()
        assert text.count(EAGER) == 1
        text = text.replace(EAGER, COMPILED)
        if given.env:
            name, _, value = given.env.partition("=")
            text = text.replace("env: {", f'env: {{{name}: "{value}", ', 1)
        lab.registry.write_text(text)
        forget(lab)
        starts = [started(lab, "nothing kept", "v1", "blue"), started(lab, "kept", "v2", "green")]
        lab.toolkit("stop", "tiny", "--yes")
        starts.append(started(lab, "kept, alone", "v1", "blue"))
        lab.toolkit("stop", "tiny", "--yes")
        forget(lab)
        starts.append(started(lab, "nothing kept, alone", "v2", "blue"))
    tell(starts)
    if given.json:
        given.json.write_text(json.dumps([asdict(each) for each in starts]))
    sys.exit(any(each.new for each in starts if each.kept))


def forget(lab: Lab) -> None:
    """Take away what was compiled, here and on the ops machine."""
    for place in (ROOT / "compiled", ROOT / "compiling", lab.directory / "home" / "compiled"):
        for each in place.glob("*"):
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    for seal in (ROOT / "seals").glob("compiled-*"):
        seal.unlink()


def started(lab: Lab, name: str, version: str, slot: str) -> Start:
    """Deploy a version into a slot; return what its start was like."""
    before = {path.name for path in trees()}
    had = {file.relative_to(tree) for tree in trees() for file in kernels(tree)}
    began = time.monotonic()
    lab.toolkit("deploy", f"tiny@{version}", "--yes", "--bake", "0")
    took = time.monotonic() - began
    log = (ROOT / "logs" / f"tiny-{slot}.log").read_text(errors="replace")
    working = ROOT / "compiling" / f"tiny-{slot}"
    has = {file.relative_to(working) for file in kernels(working)}
    warm = WARM_UP.search(log)
    assert warm is not None, log[-2000:]
    words = [line for line in log.splitlines() if re.search(r"ompil|Dynamo", line)]
    print(
        f"{name}: {took:.1f} s; trees before {sorted(before)}, now {sorted(p.name for p in trees())}",
        file=sys.stderr,
    )
    print("\n".join(f"    {line[:220]}" for line in words), file=sys.stderr, flush=True)
    return Start(name, took, float(warm.group(1)), len(has & had), len(has - had), tuple(words))


def trees() -> list[Path]:
    """Return the trees that the host keeps."""
    return [each for each in (ROOT / "compiled").glob("*.*.*") if each.is_dir()]


def kernels(top: Path) -> list[Path]:
    """Return the files of a tree that hold compiled kernels."""
    return [each for each in top.rglob("*") if each.is_file() and each.suffix in KERNEL]


def tell(starts: list[Start]) -> None:
    """Print the table."""
    print(f"{'':22}{'deploy s':>9}{'engine warms up s':>19}{'kernels kept':>14}{'new':>5}")
    for each in starts:
        print(f"{each.name:22}{each.deploy:>9.1f}{each.warm_up:>19.1f}{each.kept:>14}{each.new:>5}")


if __name__ == "__main__":
    main()
