"""A key that is known from a router's map alone: commands name it, and take it for one that may be inside."""

from __future__ import annotations

from dataclasses import replace

from tests.cli.test_export import CLOSED, Fleet, serving

__all__ = ["serving"]


def test_a_key_made_anew_is_listed_and_given_to_no_gateway_with_a_closed_model(
    serving: Fleet,
) -> None:
    assert serving.prompt("keys", "add", "clinic").code == 0
    for each in serving.world.hosts.values():
        each.ring = replace(
            each.ring, keys=tuple(replace(key, created=0.0) for key in each.ring.keys)
        )
    remedy = "toolkit keys revoke clinic, then toolkit keys add clinic"
    listed = " ".join(serving.prompt("keys", "list").out.split())
    assert "? ? clinic: made anew from a router's map" in listed
    assert remedy in listed
    refused = serving.prompt("export", "litellm", "--key", "clinic", "--closed", f"tiny={CLOSED}")
    assert (refused.code, refused.out) == (2, "")
    assert remedy in refused.remarks
    assert serving.prompt("export", "litellm", "--key", "clinic", "--inside").code == 0
