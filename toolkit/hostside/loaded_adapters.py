"""Whether an engine leads the names of LoRA adapters to the files that its release names.

Adapters come and go at run time by calls that any process on the loopback can send, so what an engine has need not be
what was deployed.
"""

from __future__ import annotations

import http.client
import os
from typing import Optional

import completion
from documents import parsed
from wire import Document

# Names between which an adapter is proven or compared have this sign. No client can request them.
INTERNAL = "@"
_SECONDS = 1.0


def drift(manifest: Document, path: str) -> list[str]:
    """Return each difference in words; none where the engine does not tell.

    `path` is where the engine of the slot lists its models; empty where it takes no adapters.
    """
    listed = _listed(manifest["port"], path) if path else None
    if listed is None:
        return []
    wanted = {each["name"]: each["snapshot"] for each in manifest["release"].get("adapters", ())}
    found = ["its engine has no adapter %s" % name for name in sorted(wanted) if name not in listed]
    for name, place in sorted(listed.items()):
        digest = os.path.basename(place)
        if name not in wanted:
            found.append("its engine has the adapter %s, which its release has not" % name[:80])
        elif digest != wanted[name]:
            words = "its engine leads the adapter %s to %s, its release to %s"
            found.append(words % (name, digest[:12], wanted[name][:12]))
    return found


def _listed(port: int, path: str) -> Optional[dict[str, str]]:
    """Return {public name: directory} of the adapters that an engine has, None where it does not tell."""
    try:
        models = parsed(completion.text(port, path, _SECONDS))["data"]
        return {
            str(each["id"]): str(each.get("root", ""))
            for each in models
            if each.get("parent") and INTERNAL not in str(each["id"])
        }
    except (OSError, http.client.HTTPException):
        return None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
