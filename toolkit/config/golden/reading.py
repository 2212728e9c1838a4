"""Read a file of golden prompts, YAML or JSONL; a fault is an InputError with its place."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from toolkit.config.golden.contradictions import contradiction
from toolkit.config.golden.endless import endless
from toolkit.config.golden.opposed import opposition
from toolkit.config.golden.references import patterns_in
from toolkit.config.golden.schema import PromptSpec
from toolkit.config.registry.faults import empty_value_faults, schema_faults
from toolkit.config.registry.fields import short
from toolkit.config.text_file import read_text
from toolkit.config.yaml_text import TextFault, TextRange, Where, YamlText, read_yaml
from toolkit.domain.bounds import GOLDEN, GOLDEN_PROMPTS
from toolkit.domain.gates.golden import Expectation, Fits, GoldenPrompt
from toolkit.domain.gates.kind import Kind
from toolkit.domain.outside import parse_json
from toolkit.errors import InputError
from toolkit.regular import open_regular

_PROMPTS = list[PromptSpec]
_ADAPTER = TypeAdapter(_PROMPTS)
# Comparisons of prompts that ask the same, of one file.
_COMPARISONS = 500
_IMAGES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".gif": "gif"}
_SOUNDS = {".wav": "wav", ".mp3": "mpeg", ".flac": "flac", ".ogg": "ogg", ".m4a": "mp4"}
# The first bytes of each type; engines refuse a file of another one, whichever release is asked.
_FIRST_BYTES = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "gif": re.compile(rb"GIF8[79]a"),
    "wav": re.compile(rb"RIFF....WAVE", re.DOTALL),
    "mpeg": re.compile(rb"ID3|\xff[\xe0-\xff]"),
    "flac": re.compile(rb"fLaC|ID3"),
    "ogg": re.compile(rb"OggS"),
    "mp4": re.compile(rb"....ftyp", re.DOTALL),
}


def read_golden(
    path: Path, fits: Fits, *, hint: str = "write the file, or take `answers` out of the guard"
) -> tuple[GoldenPrompt, ...]:
    """Return the prompts of the file `path`; `fits` tries its patterns, `hint` is what to do where it is missing.

    Raises InputError with `file:line:column` where it is missing, or a line of it is no check or one that no answer can
    pass.
    """
    return golden_in(path, read_text(path, limit=GOLDEN, hint=hint), fits)


def golden_in(path: Path, text: str, fits: Fits) -> tuple[GoldenPrompt, ...]:
    """Return the prompts in `text`, which the file `path` has or gets; raises InputError, see `read_golden`."""
    document, faults = _document(path, text)
    if faults:
        raise _first(path, faults)
    if not isinstance(document.data, list) or not document.data:
        raise InputError(
            f"{path}: no list of golden prompts",
            hint="write `- {prompt: What is the capital of France?, expect: {contains: Paris}}`",
        )
    if len(document.data) > GOLDEN_PROMPTS:
        raise document.fault(
            (GOLDEN_PROMPTS,), f"more than {GOLDEN_PROMPTS} prompts", hint="leave some of them out"
        )
    if found := [*empty_value_faults(document)]:
        raise _first(path, found)
    try:
        specs = _ADAPTER.validate_python(document.data)
    except ValidationError as error:
        raise _first(path, schema_faults(document, error, _PROMPTS)) from None
    return _Reader(document, fits).prompts(specs)


class _Reader:
    def __init__(self, document: YamlText, fits: Fits) -> None:
        self._document, self._fits = document, fits
        self._names: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        # The prompts before, by their question; and the comparisons that are left.
        self._before: dict[str, list[tuple[int, GoldenPrompt]]] = {}
        self._comparisons = _COMPARISONS
        # Patterns that end in time.
        self._bounded: set[str] = set()
        self._left = GOLDEN

    def prompts(self, specs: list[PromptSpec]) -> tuple[GoldenPrompt, ...]:
        return tuple(self._prompt(index, spec) for index, spec in enumerate(specs))

    def _prompt(self, index: int, spec: PromptSpec) -> GoldenPrompt:
        line = self._document.spans[(index,)].line
        name = spec.name or f"line {line}"
        if name in self._names:
            raise self._fault(
                index, f"two prompts are called {name!r}; the other in line {self._names[name]}"
            )
        self._names[name] = line
        expect = spec.expect.in_domain("", "")
        self._check_patterns(index, expect)
        if why := contradiction(expect, spec.max_tokens, self._fits):
            raise self._fault(
                index, f"no answer can be as expected: {why}", "change one of the two"
            )
        payload = self._payload(index, spec)
        same = f"{spec.kind} {payload!r} {expect!r}"
        if same in self._asked:
            raise self._fault(
                index, f"line {self._asked[same]} asks and expects the same", "keep one of the two"
            )
        self._asked[same] = line
        tries = spec.tries
        prompt = GoldenPrompt(
            name=name,
            place=f"{self._document.path.name}:{line}",
            kind=Kind(spec.kind),
            payload=payload,
            expect=expect,
            tries=tries.of if tries else 1,
            passes=tries.least if tries else 1,
            timeout=spec.timeout,
        )
        self._check_opposed(index, prompt, spec.max_tokens)
        return prompt

    def _check_opposed(self, index: int, prompt: GoldenPrompt, max_tokens: int) -> None:
        # The order of fields makes no other question.
        asked = f"{prompt.kind} {sorted(prompt.payload.items(), key=lambda each: each[0])!r}"
        before = self._before.setdefault(asked, [])
        for line, other in before[: self._comparisons]:
            self._comparisons -= 1
            if why := opposition(other, prompt, max_tokens, self._fits):
                raise self._fault(
                    index,
                    f"line {line} asks the same, and no answer is as both expect: {why}",
                    "keep one of the two, or correct what it expects",
                )
        before.append((self._document.spans[(index,)].line, prompt))

    def _check_patterns(self, index: int, expect: Expectation) -> None:
        patterns = () if expect.json_schema is None else patterns_in(expect.json_schema)
        for pattern in (*patterns, *(() if expect.regex is None else (expect.regex,))):
            if pattern not in self._bounded and endless(pattern, self._fits):
                raise self._fault(
                    index,
                    f"the match of the pattern {pattern[:60]!r} with some answers may run for ever",
                    "do not repeat what is repeated or left out itself (write a+ for (a+)+), and use `.*` once",
                )
            self._bounded.add(pattern)

    def _payload(self, index: int, spec: PromptSpec) -> Mapping[str, Any]:
        if spec.kind == "embedding":
            return {"input": spec.prompt, **spec.sampling}
        if spec.kind == "rerank":
            return {"query": spec.prompt, "documents": spec.documents, **spec.sampling}
        if spec.kind == "transcription":
            sound = self._file(index, str(spec.audio), _SOUNDS)
            kind = _SOUNDS[Path(str(spec.audio)).suffix.lower()]
            file = {"name": Path(str(spec.audio)).name, "type": f"audio/{kind}", "data": sound}
            prompt = {"prompt": spec.prompt} if spec.prompt else {}
            return {**prompt, "file": file, "temperature": 0, **spec.sampling}
        sampling = {"max_tokens": spec.max_tokens, "temperature": 0, **spec.sampling}
        if spec.kind == "completion":
            return {"prompt": spec.prompt, **sampling}
        tools = {"tools": spec.tools} if spec.tools else {}
        return {"messages": self._messages(index, spec), **tools, **sampling}

    def _messages(self, index: int, spec: PromptSpec) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = [
            each.model_dump(exclude_none=True) for each in spec.messages or ()
        ] or [{"role": "user", "content": spec.prompt}]
        if spec.images:
            turn = next((each for each in reversed(turns) if each["role"] == "user"), None)
            if turn is None:
                raise self._fault(index, "images without a turn of the user", "add one")
            parts = [
                {"type": "image_url", "image_url": {"url": self._image(index, each)}}
                for each in spec.images
            ]
            said = [{"type": "text", "text": turn["content"]}] if turn.get("content") else []
            turn["content"] = [*said, *parts]
        return [*([{"role": "system", "content": spec.system}] if spec.system else ()), *turns]

    def _image(self, index: int, image: str) -> str:
        if not image.startswith("data:"):
            kind = _IMAGES.get(Path(image).suffix.lower())
            return f"data:image/{kind};base64,{self._file(index, image, _IMAGES)}"
        named, _, text = image.removeprefix("data:image/").partition(";base64,")
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise self._fault(index, "an image that is not in base64") from None
        self._check_type(index, short(image), _IMAGES.get(f".{named}", named), data)
        return image

    def _file(self, index: int, name: str, kinds: Mapping[str, str]) -> str:
        """Return a file beside the golden prompts in base64."""
        path = Path(name)
        if path.suffix.lower() not in kinds:
            raise self._fault(index, f"{name!r} is none of {', '.join(kinds)}")
        if path.is_absolute() or ".." in path.parts:
            raise self._fault(index, f"{name!r} does not lie beside the golden prompts")
        try:
            with open(self._document.path.parent / path, "rb", opener=open_regular) as file:
                data = file.read(self._left + 1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise self._fault(
                index, f"{name} cannot be read: {why}", "put it beside this file"
            ) from None
        self._left -= len(data)
        if self._left < 0:
            raise self._fault(
                index, f"the files here have more than {GOLDEN // 2**20} MiB together"
            )
        self._check_type(index, name, kinds[path.suffix.lower()], data)
        return base64.b64encode(data).decode()

    def _check_type(self, index: int, name: str, kind: str, data: bytes) -> None:
        known = _FIRST_BYTES.get(kind)
        if not data or (known and not known.match(data)):
            why = f"does not begin like a file of type {kind}" if data else "is empty"
            raise self._fault(index, f"{name} {why}", "name a file that has the type of its name")

    def _fault(self, index: int, message: str, hint: str = "see docs/upgrades.md") -> InputError:
        return self._document.fault((index,), message, hint=hint)


def _document(path: Path, text: str) -> tuple[YamlText, tuple[TextFault, ...]]:
    return _lines(path, text) if path.suffix == ".jsonl" else read_yaml(path, text)


def _lines(path: Path, text: str) -> tuple[YamlText, tuple[TextFault, ...]]:
    """Return the values of a JSON text in each line; the place of a value is its line."""
    document, faults, offset = YamlText(path, text, data=[]), [], 0
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                value = parse_json(line, GOLDEN)
            except ValueError as error:
                column, why = getattr(error, "colno", 1), getattr(error, "fault", error)
                faults.append(
                    TextFault(number, column, f"no JSON: {why}", "write one prompt a line")
                )
                value = None
            where: Where = (len(document.data),)
            document.spans[where] = TextRange(
                number, 1, number, 1, number, offset, offset + len(line)
            )
            # Of a field no more than its line is known.
            inner = TextRange(number, 1, number, 1, number, offset, offset)
            document.spans |= dict.fromkeys(_fields(where, value), inner)
            document.data.append(value)
        offset += len(line) + 1
    return document, tuple(faults)


def _fields(where: Where, value: Any, depth: int = 2) -> Iterator[Where]:
    """Yield the paths of fields of a prompt that have a value, those of its parts too."""
    for name, part in value.items() if depth and isinstance(value, dict) else ():
        if part is not None:
            yield (*where, name)
            yield from _fields((*where, name), part, depth - 1)


def _first(path: Path, faults: list[TextFault] | tuple[TextFault, ...]) -> InputError:
    ordered = sorted(faults, key=lambda each: (each.line, each.column))
    error = ordered[0].error(path)
    if more := len(ordered) - 1:
        error.message += f"\n  and {more} more {'fault' if more == 1 else 'faults'}"
    return error
