#!/bin/sh
# Resolve the toolkit's dependencies, for Python 3.11 to 3.13 on Linux, with the digest of every file.
set -eu
cd "$(dirname "$0")/.."
options="--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --quiet"
# shellcheck disable=SC2086
.venv/bin/uv pip compile $options pyproject.toml -o requirements.lock "$@"
# The same, with the driver for a history in PostgreSQL.
# shellcheck disable=SC2086
.venv/bin/uv pip compile $options pyproject.toml --extra postgresql -c requirements.lock -o requirements-postgresql.lock "$@"
# shellcheck disable=SC2086
.venv/bin/uv pip compile $options pyproject.toml --extra postgresql --group dev -c requirements.lock -o requirements-dev.lock "$@"
# The same, with Apprise, which sends notices to its services.
# shellcheck disable=SC2086
.venv/bin/uv pip compile $options pyproject.toml --extra apprise -c requirements.lock -o requirements-apprise.lock "$@"
