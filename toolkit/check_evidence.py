#!/usr/bin/env python3
"""Check a file of `toolkit prove`, offline: python3 check_evidence.py EVIDENCE --head HEAD

It needs Python 3.9 or newer and nothing else: no toolkit, no network. HEAD is what somebody whom you trust has
published or kept: `SEQUENCE:DIGEST`, or a host's own file of heads, <root>/audit/LOG.json. Without it the file is
checked against itself alone, and whoever wrote it could have made it up.

It ends with 0 where everything holds, 1 where something does not, 2 where the file is none, and 3 where everything
holds but no head was given.
"""

import argparse
import hashlib
import json
import sys
from typing import Any, Dict, List, Optional, Tuple

FORMAT = "toolkit evidence 1"
LOG_FORMAT = "toolkit audit 1"
# A file about fifty hosts, with a model of 800 files on each, has 6 MiB.
MOST_BYTES = 64 * 2**20
# The exceptions that a value of another form, or one that is nested too deeply, leads to.
FORMS = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


class NotEvidence(Exception):
    """The file is no evidence at all."""


class CheckResult:
    """The findings, a line each: claims that hold, claims without a proof, and faults."""

    def __init__(self) -> None:
        self.lines: List[Tuple[str, str]] = []

    def holds(self, words: str) -> None:
        """Note what was derived anew and is as stated."""
        self.lines.append(("ok", words))

    def notes(self, words: str) -> None:
        """Note what the file says and nothing here can show."""
        self.lines.append(("note", words))

    def fails(self, words: str) -> None:
        """Note what is not as stated."""
        self.lines.append(("WRONG", words))

    def judge(self, holds: bool, words: str, otherwise: str) -> None:
        """Note the one or the other."""
        self.lines.append(("ok", words) if holds else ("WRONG", otherwise))

    @property
    def wrong(self) -> bool:
        """Whether anything is not as stated."""
        return any(kind == "WRONG" for kind, _ in self.lines)


def check(data: bytes, head: Optional[Tuple[int, str]]) -> CheckResult:
    """Check the bytes of a file, and its head where one is given; raises NotEvidence."""
    document = parse(data)
    try:
        return checked(document, head)
    except FORMS as error:
        raise NotEvidence("a part is missing or has another form: %a" % (error,))


def parse(data: bytes) -> Dict[str, Any]:
    """Return the document; raises NotEvidence where the bytes are not exactly those that were written."""
    try:
        document = json.loads(data.decode("ascii"), parse_constant=refuse_constant)
        written = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
        # Half a letter has the digest of a question mark, and the toolkit writes none.
        json_of(document).encode()
    except (ValueError, RecursionError) as error:
        raise NotEvidence("not JSON as it was written: %s" % error)
    if not isinstance(document, dict) or sorted(document) != ["content", "format", "lines"]:
        raise NotEvidence("not a file of toolkit prove")
    if document["format"] != FORMAT:
        raise NotEvidence("format %a, and this script knows %a" % (document["format"], FORMAT))
    if written != data:
        raise NotEvidence("its bytes are not those that the toolkit writes")
    return document


def refuse_constant(word: str) -> None:
    """Refuse `NaN` and the infinite numbers, which are no JSON and which the toolkit never writes."""
    raise ValueError("%s is no number" % word)


def checked(document: Dict[str, Any], head: Optional[Tuple[int, str]]) -> CheckResult:
    """Check each part of a document."""
    found, content, lines = CheckResult(), document["content"], document["lines"]
    check_chain(found, lines)
    last = lines[-1]
    found.judge(
        last["record"].get("plan") == digest_of(content)
        and last["record"].get("event") == "begin"
        and last["record"].get("command") == "prove",
        "the last line of the log names exactly this content",
        "the last line of the log does not name this content",
    )
    check_head(found, last, head)
    check_release(found, content, lines)
    check_answer(found, content)
    check_place(found, content)
    for host in content["hosts"]:
        check_host(found, content, host)
    if not content["hosts"]:
        found.fails("no host has hashed any file")
    check_licence(found, content, lines)
    check_gates(found, content, lines)
    return found


def check_chain(found: CheckResult, lines: List[Dict[str, Any]]) -> None:
    """Derive the digest of each line, and that each follows the one before."""
    before: Optional[Dict[str, Any]] = None
    for line in lines:
        number = line["sequence"]
        if sorted(line) != ["digest", "previous", "record", "sequence"]:
            found.fails("line %s of the log has other fields" % number)
        if line["digest"] != line_digest(line["previous"], number, line["record"]):
            found.fails("line %s of the log was changed" % number)
        if before and (number, line["previous"]) != (before["sequence"] + 1, before["digest"]):
            found.fails("line %s of the log does not follow the one before" % number)
        before = line
    if not found.wrong:
        words = "%d lines of the log, and each follows the one before" % len(lines)
        found.holds(words)


def check_head(found: CheckResult, last: Dict[str, Any], head: Optional[Tuple[int, str]]) -> None:
    """Compare the last line with the head that the reader trusts."""
    mine = (last["sequence"], last["digest"])
    if head is None:
        found.notes("its head is %d:%s; compare it with one that you trust: --head" % mine)
    else:
        found.judge(
            head == mine,
            "its head is the one that was given, %d:%s" % mine,
            "its head is %d:%s and not %d:%s: another log, or one written anew" % (mine + head),
        )


def check_release(found: CheckResult, content: Dict[str, Any], lines: List[Dict[str, Any]]) -> None:
    """Derive the digest of the release, and find the deployments that named it."""
    release, digest = content["release"], content["release_digest"]
    title = "%s@%s #%d" % (release["model"], release["version"], release["number"])
    derived = digest_of({name: release[name] for name in release if name != "does"})
    found.judge(
        derived == digest,
        "release %s has the digest %s" % (title, digest),
        "release %s does not have the digest that is stated" % title,
    )
    named = [
        line["sequence"]
        for line in lines
        if digest in (line["record"].get("release_digests") or {}).values()
    ]
    if named:
        where = ", ".join(map(str, named))
        found.holds("the log named this release when it was deployed: line %s" % where)
    else:
        found.notes("no line here names this release when it was deployed; only this file does")


def check_answer(found: CheckResult, content: Dict[str, Any]) -> None:
    """Compare what the headers said, and what the router's log says, with the release."""
    release, answer, logged = content["release"], content["answer"], content["logged"]
    mine = (release["version"], release["number"])
    said = (answer["version"], answer["release"])
    if said != ("", None):
        found.judge(
            said[0] in ("", mine[0]) and said[1] in (None, mine[1]),
            "the answer's headers name this release",
            "the answer's headers name %s #%s" % said,
        )
    if logged:
        found.judge(
            (logged["version"], logged["release"]) == mine
            and logged["request_id"] == answer["request_id"]
            and answer["slot"] in ("", logged["slot"]),
            "the router of %s logged request %s at %s with this release"
            % (logged["host"], logged["request_id"], logged["at"]),
            "the router's log of %s is about another request or release" % logged["host"],
        )
    elif answer["request_id"]:
        found.notes("no router's log has request %s any more" % answer["request_id"])


def check_place(found: CheckResult, content: Dict[str, Any]) -> None:
    """Compare the host of the slot that answered, LABEL.SLOT, with those that hashed files.

    A host that is alone has no label: its own router logged the request.
    """
    logged = content["logged"]
    slot = (logged or content["answer"])["slot"]
    label, _, own = slot.rpartition(".")
    field, name = ("label", label) if label else ("host", logged["host"] if logged else "")
    if not (slot and name):
        return
    if not any(field in host for host in content["hosts"]):
        found.notes("nothing here says whether files were hashed on the host of slot %s" % slot)
        return
    here = [host for host in content["hosts"] if host.get(field) == name]
    found.judge(
        bool(here),
        "files were hashed on the host that answered, %s" % name,
        "slot %s answered, and no files were hashed on its host, %s" % (slot, name),
    )
    for host in here:
        if host["slots"] and own not in [each["slot"] for each in host["slots"]]:
            found.notes("slot %s answered, and runs this release no more" % slot)


def check_host(found: CheckResult, content: Dict[str, Any], host: Dict[str, Any]) -> None:
    """Derive the names of a host's snapshots from the digests of their files."""
    name, release = host["host"], content["release"]
    wanted = [release["snapshot"]] + [each["snapshot"] for each in release.get("adapters", ())]
    for snapshot in wanted:
        files = host["snapshots"].get(snapshot)
        if files is None:
            found.fails("%s has hashed no files of %s" % (name, snapshot))
            continue
        summary = hashlib.sha256()
        for path, _, digest, _ in sorted(files):
            if digest:
                summary.update(("%s\0%s\n" % (path, digest)).encode())
        found.judge(
            summary.hexdigest() == snapshot,
            "%s: %d files hashed, and they are those of snapshot %s" % (name, len(files), snapshot),
            "%s: its files are not those of snapshot %s" % (name, snapshot),
        )
        for path, _, _, fault in files:
            if fault:
                found.fails("%s: %s: %s" % (name, path, fault))
    check_slots(found, content, host)


def check_slots(found: CheckResult, content: Dict[str, Any], host: Dict[str, Any]) -> None:
    """Say what runs the release on a host, and what there is not as it was put there."""
    name = host["host"]
    for slot in host["slots"]:
        found.judge(
            slot["release_digest"] == content["release_digest"] and not slot["differs"],
            "%s: slot %s has this release, process %s" % (name, slot["slot"], slot["process"]),
            "%s: slot %s is not as it was deployed: %s" % (name, slot["slot"], slot["differs"]),
        )
    if not host["slots"]:
        found.notes("%s has the files, and runs this release no more" % name)
    differs = list(host["changed_files"]) + list(host["engine"]["differs"])
    for words in differs:
        found.fails("%s: %s" % (name, words))
    if not host["engine"]["compared"]:
        found.notes("%s: nothing to compare the engine %s with" % (name, host["engine"]["id"]))


def check_licence(found: CheckResult, content: Dict[str, Any], lines: List[Dict[str, Any]]) -> None:
    """Say how the licence was decided, and whether the registry was the same at a deployment."""
    licence, digest = content["licence"], content["release_digest"]
    if licence["allowed"] is None:
        found.notes("licence: %s" % licence["reason"])
    elif not licence["allowed"]:
        found.fails("licence: %s" % licence["reason"])
    else:
        found.holds("licence: %s" % licence["reason"])
    for line in lines:
        record = line["record"]
        if digest in (record.get("release_digests") or {}).values():
            same = record.get("registry") == licence["registry"]
            words = "the same" if same else "another"
            found.notes("line %d was written under %s registry file" % (line["sequence"], words))


def check_gates(found: CheckResult, content: Dict[str, Any], lines: List[Dict[str, Any]]) -> None:
    """Say each verdict, and whether a line of the log has it too."""
    known: List[Dict[str, Any]] = []
    for line in lines:
        record = line["record"]
        known += [record] if record.get("event") == "found" else record.get("gates") or []
    for gate in content["gates"]:
        names = ("host", "gate", "verdict", "figures")
        logged = any(all(one.get(name) == gate[name] for name in names) for one in known)
        words = "gate %s on %s: %s" % (gate["gate"], gate["host"] or "-", gate["verdict"])
        if logged:
            found.holds(words + ", as the log has it")
        else:
            found.notes(words + ", by the history alone")


def plain(text: str) -> str:
    """Return a text of the file for a terminal: none of it can begin a line, hide one or fail to be printed."""
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    encoding = sys.stdout.encoding or "ascii"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value's JSON with sorted names and no blanks."""
    return hashlib.sha256(json_of(value).encode()).hexdigest()


def line_digest(previous: str, sequence: int, record: Dict[str, Any]) -> str:
    """Return the digest of a line of the log: over texts, each after its length in eight bytes."""
    texts = [LOG_FORMAT, previous, str(sequence)]
    for name in sorted(record):
        texts += [name, json_of(record[name])]
    summary = hashlib.sha256()
    for text in texts:
        data = text.encode(errors="replace")
        summary.update(len(data).to_bytes(8, "big") + data)
    return summary.hexdigest()


def json_of(value: Any) -> str:
    """Return a value as JSON with sorted names and no blanks."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def read_head(text: str, sequence: int) -> Tuple[int, str]:
    """Return the head that `text` states, or that a host's file of heads has for `sequence`; raises ValueError."""
    number, _, digest = text.partition(":")
    if number.isdecimal() and len(digest) == 64:
        return int(number), digest
    heads = json.loads(read_file(text).decode("utf-8"))["heads"]
    for each in heads:
        if each["sequence"] == sequence:
            return sequence, each["digest"]
    raise ValueError("%s has no head with the number %d" % (text, sequence))


def read_file(path: str) -> bytes:
    """Return what a file has; raises NotEvidence where that is more than any evidence, such as what never ends."""
    with open(path, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise NotEvidence("it is larger than %d MiB" % (MOST_BYTES // 2**20))
    return data


def main(words: List[str]) -> int:
    """Check the file that `words` name; return the exit code."""
    parser = argparse.ArgumentParser(description="Check a file of `toolkit prove`, offline.")
    parser.add_argument("evidence", help="the file")
    parser.add_argument("--head", help="SEQUENCE:DIGEST, or a host's file of heads")
    given = parser.parse_args(words)
    try:
        data = read_file(given.evidence)
        head = None
        if given.head:
            head = read_head(given.head, parse(data)["lines"][-1]["sequence"])
        found = check(data, head)
    except (OSError, NotEvidence, *FORMS) as error:
        print(plain("%s: %s" % (given.evidence, error)), file=sys.stderr)
        return 2
    for kind, text in found.lines:
        print("%-5s  %s" % (kind, plain(text)))
    if found.wrong:
        print("This evidence does not hold.")
        return 1
    if head is None:
        print("It holds in itself; nobody vouches for its head yet.")
        return 3
    print("It holds.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
