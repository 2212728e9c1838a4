"""Licence ids of the registry, which are the Hub's, as ids of the SPDX list."""

from __future__ import annotations

from typing import Any

# The Hub writes ids in lower case; the SPDX list tells cases apart. Licences of single families, such as `llama3.1`,
# are not on that list: a bill of materials gives their names.
_SPDX = {
    each.lower(): each
    for each in (
        "AFL-3.0", "AGPL-3.0", "Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Clear",
        "BSL-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-2.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0",
        "CC-BY-NC-ND-3.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-2.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0",
        "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0", "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0",
        "ECL-2.0", "EPL-1.0", "EPL-2.0", "EUPL-1.1", "EUPL-1.2", "GPL-2.0", "GPL-3.0", "ISC", "LGPL-2.1", "LGPL-3.0",
        "LPPL-1.3c", "MIT", "MPL-2.0", "MS-PL", "NCSA", "ODbL-1.0", "OFL-1.1", "OSL-3.0", "PDDL-1.0", "PostgreSQL",
        "Unlicense", "WTFPL", "Zlib",
    )
}  # fmt: skip


def licence_choice(licence: str) -> dict[str, Any]:
    """Return the licence as an entry of CycloneDX: by its SPDX id where it has one, else by its name."""
    spdx = _SPDX.get(licence)
    named = {"id": spdx} if spdx else {"name": licence}
    return {"license": {**named, "acknowledgement": "declared"}}
