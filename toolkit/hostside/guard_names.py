"""The names of the files of a model's guard in `<root>/guard/`: hosts write them, and commands find them by name.

This module imports no sibling, so that the ops machine uses it too.
"""

from __future__ import annotations

GUARD = "guard"
# No escape in a name is written like that of the copy, see `name_of`.
ORDER, FOUND, WISH, COPY = ".json", ".found.json", ".wish.json", "%copy"


def order_path(model: str) -> str:
    """Return the path of the order of a model's guard, below the root."""
    return f"{GUARD}/{name_of(model, ORDER)}"


def name_of(model: str, kind: str) -> str:
    """Return the name of a model's file of a `kind`: ORDER, FOUND, WISH or COPY."""
    plain = (each if each.isalnum() or each in "-_." else "%%%x" % ord(each) for each in model)
    name = "".join(plain)
    stem, dot, last = name.rpartition(".")
    if stem and dot + last + ORDER in (FOUND, WISH):
        # Its order would be called like another file of the model without that ending.
        name = f"{stem}%2e{last}"
    # A leading dot is that of a file which is still being written.
    return ("%2e" + name[1:] if name.startswith(".") else name) + kind
