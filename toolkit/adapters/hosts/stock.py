"""The stock of a host: snapshots, engines, compiled trees, parts of changes that were cut short."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.adapters.hosts.answers import leftover_of
from toolkit.adapters.hosts.client import Report
from toolkit.adapters.hosts.facts import understood
from toolkit.adapters.hosts.held import Held
from toolkit.adapters.hosts.port import CheckedEngine, FoundCompiled, KeptCompiled, RemovedLeftovers
from toolkit.domain.outside import checked, shown, text_of, whole

# A rollback must start at once, so types that few commands need are loaded where they are used.
if TYPE_CHECKING:
    from toolkit.domain.files.snapshot import FileDigest
    from toolkit.domain.hosts.leftover import Leftover


class Stocked(Held):
    """The stock of a host."""

    def place(self, source: str, digest: str, files: Sequence[str], report: Report) -> None:
        self._change("place", report, source=source, digest=digest, files=list(files))

    def hash_files(self, digest: str, report: Report) -> dict[str, dict[str, Any]]:
        answer = self._ask("hash", report, digest=digest)
        with understood(self.name):
            found: dict[str, dict[str, Any]] = {
                path: {
                    "size": whole(each["size"], "size"),
                    "sha256": text_of(each["sha256"], "a digest"),
                }
                for path, each in answer["files"].items()
            }
            for path, words in answer["faults"].items():
                found.setdefault(path, {})["fault"] = text_of(words, "a fault")
            return found

    def check_snapshot(self, digest: str, report: Report) -> tuple[str, ...]:
        answer = self._ask("check-snapshot", report, digest=digest)
        with understood(self.name):
            return tuple(str(each) for each in answer["faults"])

    def keep_compiled(self, program: str) -> KeptCompiled:
        answer = self._change("keep-compiled", program=program)
        with understood(self.name):
            return KeptCompiled(
                name=str(answer["name"]), size=int(answer["bytes"]), why=str(answer["why"])
            )

    def find_compiled(self, compiles: Mapping[str, Any], snapshot: str) -> FoundCompiled:
        from toolkit.domain.engines.compiled import is_name_of

        answer = self._ask("find-compiled", compiles=dict(compiles), snapshot=snapshot)
        with understood(self.name):
            kind, name = (text_of(answer[each], each) for each in ("kind", "name"))
            # This machine looks for the kind among its own files.
            if not is_name_of(kind, name):
                raise ValueError(f"{shown(name or kind)} is no name of a compiled tree")
            return FoundCompiled(kind, name)

    def hand_out_compiled(self, name: str) -> tuple[tuple[FileDigest, ...], Iterator[bytes]]:
        from toolkit.domain.files.snapshot import FileDigest

        first = self._ask("hand-out-compiled", name=name, offset=0)
        with understood(self.name):
            files = tuple(
                checked(FileDigest(path, whole(size, "size"), sha256))
                for path, size, sha256 in first["files"]
            )
        return files, self._parts(name, first)

    def _parts(self, name: str, answer: Mapping[str, Any]) -> Iterator[bytes]:
        offset = 0
        while True:
            with understood(self.name):
                data, more = b64decode(answer["data"], validate=True), bool(answer["more"])
            yield data
            offset += len(data)
            if not (data and more):
                return
            answer = self._ask("hand-out-compiled", name=name, offset=offset)

    def place_compiled(self, source: str, name: str, files: Sequence[str]) -> None:
        request = {"source": source, "digest": name, "files": list(files), "kind": "compiled"}
        self._change("place", lambda _: None, **request)

    def seal_engine(self, engine: str, report: Report) -> None:
        self._change("seal-engine", report, name=engine)

    def check_engine(self, engine: str, report: Report) -> CheckedEngine:
        answer = self._ask("check-engine", report, name=engine)
        with understood(self.name):
            return CheckedEngine(
                sealed=bool(answer["sealed"]),
                files=whole(answer["files"], "files"),
                size=whole(answer["bytes"], "bytes"),
                faults=tuple(str(each) for each in answer["faults"]),
            )

    def swap_engine(self, engine: str, report: Report) -> None:
        self._change("swap-engine", report, name=engine)

    def remove(self, kind: str, name: str) -> int:
        answer = self._change("remove", kind=kind, name=name)
        with understood(self.name):
            return whole(answer["freed"], "bytes")

    def renew_program(self, damaged: Sequence[str]) -> None:
        self.require_lock()
        self._client.renew(damaged)

    def leftovers(self) -> tuple[Leftover, ...]:
        # It is removed by its name as it is.
        answer = self._client.ask("leftovers")
        with understood(self.name):
            return tuple(leftover_of(each) for each in answer["leftovers"])

    def remove_leftovers(self, paths: Sequence[str]) -> RemovedLeftovers:
        answer = self._ask("remove-leftovers", paths=list(paths), holder=self._holder())
        with understood(self.name):
            kept = {str(path): str(why) for path, why in answer["kept"].items()}
            return RemovedLeftovers(whole(answer["freed"], "bytes"), kept)
