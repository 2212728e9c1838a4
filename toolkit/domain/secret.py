"""A password on its way: no representation, no JSON and no comparison shows it."""

from __future__ import annotations

from typing import final


@final
class Secret:
    """A text that only `reveal` gives. It is no field of anything that is printed or written."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for the one program that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written")
