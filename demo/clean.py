"""Stop what the demo left running and remove its files: what `make demo-clean` runs."""

from __future__ import annotations

import argparse
import shutil
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
    for each in (directory, given.root):
        shutil.rmtree(each, ignore_errors=True)
        print(f"removed {each}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
