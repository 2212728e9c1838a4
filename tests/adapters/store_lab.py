"""Snapshots of one file in a store, as a pull leaves them."""

from __future__ import annotations

import hashlib

from toolkit.adapters.store.store import Store
from toolkit.domain.files.snapshot import FileDigest, Snapshot


def stored(
    store: Store,
    source: str,
    revision: str,
    content: bytes | None = None,
    *,
    name: str = "model.safetensors",
    at: float = 0.0,
) -> Snapshot:
    """Store a snapshot whose file `name` has this `content`, by default the revision's, at the time `at`."""
    content = revision.encode() if content is None else content
    file = FileDigest(name, len(content), hashlib.sha256(content).hexdigest())
    snapshot = Snapshot(source, revision, (file,))
    with store.stage(snapshot) as staging, store.claim(file, lambda: None) as data:
        assert data is not None
        data.write_bytes(content)
        staging.adopt(file, data)
        staging.commit("mit", at)
    return snapshot
