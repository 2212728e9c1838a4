"""ansible-playbook with the modules that former runs have built: what `child` has ansible-runner start.

Ansible sends each module to a host as an archive with all that it imports. Building one takes a processor 0.2 s, and
Ansible keeps none from one run to the next.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

KEPT = "TOOLKIT_KEPT_MODULES"
# Where these lead elsewhere, modules change without the toolkit's knowledge.
_PLACES = ("DEFAULT_MODULE_PATH", "DEFAULT_MODULE_UTILS_PATH")


def main() -> None:
    """Run the playbook of the command line."""
    # The directory of this file, whose modules are the toolkit's.
    del sys.path[0]
    kept = os.environ.pop(KEPT, "")

    from ansible import constants
    from ansible.cli import playbook

    origins = [constants.config.get_config_value_and_origin(each)[1] for each in _PLACES]
    if kept and set(origins) == {"default"}:
        # Ansible looks for built modules there, builds what is absent under a lock, and removes the link at its end.
        Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(kept)
    sys.exit(playbook.main())


if __name__ == "__main__":
    main()
