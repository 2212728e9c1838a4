"""The recorder, as the engine's Python imports it: from a directory that has nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

FILES = Path(__file__).parents[2] / "playbooks/roles/replica/files"
if str(FILES) not in sys.path:
    sys.path.append(str(FILES))
