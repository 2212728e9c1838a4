"""A real Prometheus on loopback that has the samples of a test."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.hostside.router_lab import free_port
from tests.programs import running

Samples = Sequence[tuple[float, float]]
# "test", as Prometheus's documentation of its own log-in has it.
_LOGIN = "basic_auth_users: {ann: $2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay}\n"


@contextmanager
def prometheus(
    directory: Path,
    series: Sequence[tuple[str, Mapping[str, str], Samples]],
    *,
    login: bool = False,
) -> Iterator[str]:
    """Yield the address of a Prometheus that has `series`, all of them counters named `..._total` or `..._bucket`."""
    port, data = free_port(), directory / "data"
    (directory / "empty.yml").write_text("")
    (directory / "login.yml").write_text(_LOGIN if login else "")
    if series:
        (directory / "samples.txt").write_text(_text(series))
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", directory / "samples.txt", data],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    with running(
        "prometheus", f"--config.file={directory}/empty.yml", f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}", f"--web.config.file={directory}/login.yml", "--log.level=error",
    ) as process:  # fmt: skip
        _await(f"http://127.0.0.1:{port}/-/ready", process)
        yield f"http://127.0.0.1:{port}"


def _text(series: Sequence[tuple[str, Mapping[str, str], Samples]]) -> str:
    lines = []
    for metric, labels, samples in series:
        told = ",".join(f'{name}="{value}"' for name, value in labels.items())
        lines += [f"{metric}{{{told}}} {value} {at}" for at, value in samples]
    return "\n".join(lines) + "\n# EOF\n"


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("Prometheus does not start")
