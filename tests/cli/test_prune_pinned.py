"""`toolkit prune` while somebody pins: what the lock has by the answer stays in the store."""

from __future__ import annotations

import pytest

from tests.adapters.store_lab import stored
from tests.cli.shell import Shell
from toolkit.adapters.store.store import Store
from toolkit.config.registry.lock_file import Lock, lock_path, write_lock


def test_what_is_pinned_while_prune_asks_stays_in_the_store(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.root.mkdir()
    store = Store(shell.place / "home" / "store")
    kept, gone = (stored(store, "acme/tiny", each * 40, name="w.safetensors") for each in "45")

    def pin(_: str) -> bool:
        path = lock_path(shell.registry)
        write_lock(Lock(path, {(kept.source, kept.revision): kept}))
        return True

    monkeypatch.setattr("toolkit.cli.views.plan.confirmed", pin)
    said = shell("prune")
    assert said.code == 0, said.err
    assert [
        f"remove acme/tiny@{each.revision[:12]} in the store" in said.err for each in (kept, gone)
    ] == [True, True]
    assert [each.revision for each in store.list()] == [kept.revision]
