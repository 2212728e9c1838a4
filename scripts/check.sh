#!/bin/bash
# Run every check that needs no running system. Each prints its name; the first failure ends the script.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

step() {
    echo "== $*"
    "$@"
}

step ruff check .
step ruff format --check .
step mypy
step env MYPYPATH=toolkit/hostside mypy --config-file scripts/hostside.ini toolkit/hostside
step env MYPYPATH=playbooks/roles/replica/files mypy --config-file scripts/hostside.ini playbooks/roles/replica/files/toolkit_recorder \
    playbooks/roles/replica/files/toolkit_starter
step lint-imports
step env ANSIBLE_LIBRARY=playbooks/library ansible-lint --offline --strict playbooks
step python scripts/write_reference.py --check
