"""The texts of a bundle for people: its README, and the licences of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.domain.accelerator import TRAITS
from toolkit.domain.files.bundle import LICENCES, SUMS, UV, Manifest
from toolkit.domain.quantity import format_size
from toolkit.domain.registry.model import HubSource, Openness, Version

_OPENNESS = {
    Openness.FULLY_OPEN: "fully open: weights, training data and training code are public",
    Openness.OPEN_WEIGHTS: "open weights: the weights are public, training data and code are not",
}


def licences_text(versions: Sequence[Version], texts: Mapping[str, Sequence[str]]) -> str:
    """Return the licence of each version as the registry has it; `texts` has the licence files by title."""
    parts = ["# Licences of the models in this bundle\n"]
    for version in versions:
        source = version.source
        origin = source.repo if isinstance(source, HubSource) else "made in house"
        permission = version.permission
        lines = [
            f"## {version.title}\n",
            f"- Licence: {version.licence}",
            f"- Openness: {_OPENNESS[version.openness]}",
            f"- Source: {origin}, revision {version.revision}",
        ]
        if permission.reason:
            allowed = ", ".join(permission.allowed)
            lines.append(f"- Permitted by exception: {allowed}: {permission.reason}")
        files = texts.get(version.title, ())
        lines += [f"- Text: {path}" for path in files]
        if not files:
            lines.append("- Text: the source has no licence file; its licence is known by its name")
        parts.append("\n".join(lines) + "\n")
    parts.append("The packages of the engines carry their licences inside their wheels.\n")
    return "\n".join(parts)


def readme_text(manifest: Manifest, size: int) -> str:
    """Return the README for the other site; `size` is in bytes, of everything but texts."""
    versions = "\n".join(
        f"- `{each.title}`: {each.source} at {each.revision[:12]}, {each.licence}, "
        f"{format_size(each.size)}, engine {each.engine}"
        for each in manifest.versions
    )
    engines = "\n".join(
        f"- `{each.id}`: for {each.accelerator} and Python {each.python}, "
        f"{len(each.wheels)} packages, {format_size(each.size)}"
        for each in manifest.engines
    )
    deploys = "\n".join(f"toolkit deploy {each.title}" for each in manifest.versions)
    return f"""\
# A bundle of models for a site without network

Made {manifest.created_at} by toolkit {manifest.toolkit}; {format_size(size)}.

Models:

{versions}

Engines:

{engines}

## What the site needs

- An ops machine with toolkit {manifest.toolkit} or newer, and the disk space named above. The toolkit
  itself is not in the bundle.
- Hosts on x86-64 with one of the Pythons named above (`python3 --version`) and glibc 2.31 or newer;
  {_drivers()}.
- The hosts' system packages (HAProxy, libnuma1, a C compiler for `cuda`) from the site's own package
  source, or installed already. They are not in the bundle.

## Steps

1. See that nothing was lost on the way, with what every Linux has:

       sha256sum --quiet -c {SUMS}

2. On the ops machine, with this directory in place of DIR, and in the directory that has (or is to have)
   `model_registry.yaml`:

       toolkit bundle show DIR
       toolkit bundle load DIR

   That checks every byte again and takes models, engines and registry entries in. Whoever made the bundle
   can tell its fingerprint over another channel; `--fingerprint` then proves that it is the same bundle.

3. Deploy. No network is asked:

{_indented(deploys)}

Who uses a model accepts its licence: read {LICENCES} and the texts in `licences/`.

Weights are named by their digest, because versions share files; `manifest.json` and the lock in `registry/`
say which is which. `{UV}` is there for whoever wants to install the wheels without the toolkit.
"""


def _drivers() -> str:
    """Return `for `cuda` an NVIDIA driver, 580 or newer`."""
    drivers = {name: row.driver for name, row in TRAITS.items() if row.driver}
    return "; ".join(
        f"for `{name}` an {driver.name}, {driver.oldest} or newer"
        for name, driver in drivers.items()
    )


def _indented(text: str) -> str:
    return "\n".join(f"       {line}" for line in text.splitlines())
