"""Give the archives in which Ansible sends its modules the bytecode of what they hold.

A host compiles all that it imports from an archive, each time: a module of a few lines takes its processor 0.2 s, of
which 0.15 s compile Ansible's own library. A host with this machine's version of Python finds the bytecode instead. Any
other passes over it, by its magic number, and compiles the sources as before.
"""

from __future__ import annotations

import marshal
import zipfile
from importlib.util import MAGIC_NUMBER, source_hash
from typing import Any

# Nothing else in the archive can change, so the host need not compare the bytecode with its source (PEP 552).
_UNCHECKED_HASH = (1).to_bytes(4, "little")


def with_bytecode(module_common: Any) -> None:
    """Have `module_common`, Ansible's builder of modules, add bytecode to each archive that it completes."""
    add_module = module_common._add_module_to_zip

    def add_all(archive: zipfile.ZipFile, *rest: Any, **named: Any) -> None:
        add_module(archive, *rest, **named)
        add_bytecode(archive)

    module_common._add_module_to_zip = add_all


def add_bytecode(archive: zipfile.ZipFile) -> None:
    """Add the bytecode of each Python source in `archive`, which is open for writing and can be read as well."""
    for entry in archive.infolist():
        if entry.filename.endswith(".py"):
            compiled = zipfile.ZipInfo(f"{entry.filename}c", entry.date_time)
            compiled.compress_type = archive.compression
            archive.writestr(compiled, _bytecode(archive.read(entry), entry.filename))


def _bytecode(source: bytes, name: str) -> bytes:
    code = compile(source, name, "exec", dont_inherit=True)
    return MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(source) + marshal.dumps(code)
