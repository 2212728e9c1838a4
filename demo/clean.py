"""Stop the demo's processes and remove its files. `make demo-clean` runs this."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from lab import Lab, end_supervisor


def main() -> int:
    """Stop the model, the router and their supervisor, then remove both directories."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path(".demo"))
    parser.add_argument("--root", type=Path, default=Path("/var/lib/toolkit-demo"))
    given = parser.parse_args()
    directory = given.dir.resolve()
    if (directory / "fleet.yaml").exists():
        lab = Lab(directory, given.root, 0, "demo-qwen")
        lab.toolkit("stop", "demo-qwen", "--yes", show=True, check=False)
    end_supervisor(given.root)
    remove_unit(f"{given.root.name}-router.service")
    for each in (directory, given.root):
        shutil.rmtree(each, ignore_errors=True)
        print(f"removed {each}")
    return 0


def remove_unit(name: str) -> None:
    """Stop and remove the router's unit, if there is one."""
    unit = Path("/etc/systemd/system") / name
    if unit.exists():
        subprocess.run(["systemctl", "disable", "--now", name], check=False)
        unit.unlink()
        subprocess.run(["systemctl", "daemon-reload"], check=False)


if __name__ == "__main__":
    sys.exit(main())
