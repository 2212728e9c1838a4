"""Write what is generated from the registry's schema: its JSON Schema and docs/registry.md.

With `--check`, write nothing and end with 1 where a file is not today's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from toolkit.config.registry_reference import reference_text, schema_text

ROOT = Path(__file__).resolve().parent.parent
GENERATED = {
    ROOT / "model_registry.schema.json": schema_text,
    ROOT / "docs" / "registry.md": reference_text,
}


def main() -> int:
    """Write or check the files; return the exit status."""
    stale = [
        path
        for path, text in GENERATED.items()
        if not path.exists() or path.read_text("utf-8") != text()
    ]
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)} is not today's\n")
        if "--check" not in sys.argv[1:]:
            path.write_text(GENERATED[path](), "utf-8")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
