"""What a person waits for at a shell: completion, the first token of `ask`, and what a change of ten hosts would do.

    python tests/bench/bench_typing.py [--hosts 10] [--rounds 7] [--json FILE]

The hosts are whole ones over SSH, on this machine, whose processors they share; a stub replaces vLLM. All of them serve
another version than the one that `plan` and `diff` are asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.bench_fleet_look import timed
from tests.fleet.machine import missing
from tests.system.stub_site import PROMPT, StubSite, stub_site
from tests.walk.hub import model_files

# Seconds: the most that a median may be.
COMPLETION, PLAN, BEHIND_CURL = 0.15, 2.0, 0.3
COMMANDS = ("plan", "diff")
# Lines whose last word is begun: a command, a model, a host, an option.
LINES = ("toolkit dep", "toolkit deploy ti", "toolkit hosts drain ", "toolkit deploy tiny --dry")
ASK, CURL = "ask, first token", "curl, first token"
# The processor's seconds of a command and its ssh; those of the hosts for it: sshd and all that it starts.
OWN, THEIRS = "of the processor, here:", "of the processor, hosts:"
SSHD = "/sys/fs/cgroup/system.slice/ssh.service/cpu.stat"

Times = dict[str, list[float]]


def main() -> int:
    """Measure and print the table; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    # Without compiled modules each start would compile them.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    times: Times = {}
    with stub_site(given.hosts) as site:
        # Before routers and watches take a part of the processors.
        for _ in range(given.rounds):
            for line in LINES:
                times.setdefault(f"completion of `{line}`", []).append(completion(site, line))
        deploy(site, given.hosts)
        for turn in range(given.rounds + 1):
            # The first round is not counted.
            for name, seconds in one_round(site):
                times.setdefault(name, []).extend([seconds] if turn else [])
                print(f"{name}: {seconds:.3f} s", file=sys.stderr, flush=True)
    if given.json:
        given.json.write_text(json.dumps(times))
    return tell(times, given.hosts)


def deploy(site: StubSite, hosts: int) -> None:
    """Let all hosts serve `v1`, with `v2` pinned and pulled."""
    # Both versions have room beside each other on the machine that all hosts share.
    site.lab.registry.write_text(site.lab.registry.read_text().replace("64MiB", "4GiB"))
    for version in ("v1", "v2"):
        pin(site, version)
    words = ("deploy", "tiny@v1", "--yes", "--bake", "0", "--serial", str(hosts))
    site.lab.toolkit(*words, timeout=3600)


def pin(site: StubSite, version: str) -> None:
    """Pin a version with the files of a whole model: the plan predicts its memory from them."""
    model = site.lab.directory / "model"
    model.mkdir(exist_ok=True)
    for name, content in model_files(site.answer(version)).items():
        (model / name).write_bytes(content)
    site.lab.toolkit("registry", "pin", "tiny", "--as", version)
    site.lab.toolkit("pull", f"tiny@{version}")


def one_round(site: StubSite) -> list[tuple[str, float]]:
    """Return the seconds of everything once; what is compared runs in turns."""
    found = []
    body = {"model": "tiny", "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
    host = site.lab.machines[0].name
    url = f"{site.door(host)}/v1/chat/completions"
    header = "content-type: application/json"
    found.append((CURL, first_byte(["curl", "-sN", "-H", header, "-d", json.dumps(body), url])))
    argv, environment = site.lab.command("ask", "tiny", PROMPT, "--host", host)
    found.append((ASK, first_byte(argv, environment)))
    for command in COMMANDS:
        for connected in (False, True):
            if not connected:
                site.lab.hang_up()
            theirs, own = hosts_work(site), own_work()
            seconds = timed(lambda words=(command, "tiny@v2"): site.lab.toolkit(*words))
            name = f"{command}{', connected' if connected else ''}"
            found.append((f"toolkit {name}", seconds))
            found.append((f"{OWN} {name}", own_work() - own))
            found.append((f"{THEIRS} {name}", hosts_work(site) - theirs))
    return found


def completion(site: StubSite, line: str) -> float:
    """Return the seconds of a completion in bash; raises RuntimeError where nothing is proposed."""
    environment = site.lab.command()[1]
    words = line.split(" ")
    asked = {
        "_TOOLKIT_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    began = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("toolkit"))],
        env={**environment, **asked},
        capture_output=True,
        check=False,
    )
    seconds = time.monotonic() - began
    if not done.stdout.strip():
        raise RuntimeError(f"nothing completes {line!r}: {done.stderr.decode()}")
    return seconds


def first_byte(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> float:
    """Return the seconds from the start of a command to the first byte of its output."""
    began = time.monotonic()
    with subprocess.Popen(argv, env=dict(environment), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.read(1):
            raise RuntimeError(f"{argv[0]} printed nothing")
        seconds = time.monotonic() - began
        process.stdout.read()
    return seconds


def own_work() -> float:
    """Return the processor's seconds of all commands that have ended, and of what they started."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def hosts_work(site: StubSite) -> float:
    """Return the processor's seconds of sshd on all hosts so far, with all that it has started."""
    spent = (machine.run("head", "-n1", SSHD).split()[1] for machine in site.lab.machines)
    return sum(map(int, spent)) / 1e6


def tell(times: Times, hosts: int) -> int:
    """Print the medians and how they stand to the targets; 1 where one is missed."""
    print(f"{f'{hosts} hosts':44}{'median s':>9}{'min s':>8}{'max s':>8}")
    middle = {name: statistics.median(each) for name, each in times.items()}
    for name, each in times.items():
        print(f"{name:44}{middle[name]:>9.3f}{min(each):>8.3f}{max(each):>8.3f}")
    found = (
        ("completion", COMPLETION, max(v for k, v in middle.items() if k.startswith("completion"))),
        ("ask behind curl", BEHIND_CURL, middle[ASK] - middle[CURL]),
        ("plan and diff", PLAN, max(v for k, v in middle.items() if k.startswith("toolkit"))),
    )
    for name, most, seconds in found:
        verdict = "met" if seconds <= most else "missed"
        print(f"target of {name}: at most {most} s; {seconds:.3f} s: {verdict}")
    return int(any(seconds > most for _, most, seconds in found))


if __name__ == "__main__":
    sys.exit(main())
