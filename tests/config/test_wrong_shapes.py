"""Each field of a guard, a schedule and the settings of notifications, with values of each shape but its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config.notify import load_notify
from toolkit.config.registry.reading import load_registry
from toolkit.config.schedule import parse_schedule
from toolkit.errors import InputError

SHAPES = (
    *("{a: 1}", "{}", "[x]", "[]", "[{a: 1}]", "[[x]]", "x", "''", "5", "-5", "1.5", "true", "~"),
    # No digits of this kind count, and no number that none is.
    *(".nan", ".inf", "1e400", "99999999999999999999999999", "0x1F", "\u0663", "'\u0663%'", "'\u0663min'"),
)  # fmt: skip
# In the place of `VALUE` stands the value; after the bar the shapes that are taken.
GUARD = (
    ("VALUE", "{}"),
    ("{canary: VALUE}", "[]"),
    ("{canary: [VALUE]}", ""),
    ("{canary: [{share: VALUE, duration: 1min}]}", ""),
    ("{canary: [{share: 1%, duration: VALUE}]}", ""),
    ("{canary: [{share: 1%, duration: 1min, requests: VALUE}]}", "5"),
    ("{bake: VALUE}", ""),
    ("{patience: VALUE}", ""),
    ("{unsure: VALUE}", ""),
    ("{tolerance: VALUE}", "{}"),
    ("{tolerance: {slower: VALUE}}", "5 1.5"),
    ("{tolerance: {errors: VALUE}}", ""),
    ("{tolerance: {growth: VALUE}}", "5 1.5"),
    ("{answers: VALUE}", ""),
    # A file may have any name.
    ("{answers: {file: VALUE}}", "x .nan .inf 1e400 99999999999999999999999999 0x1F"),
    ("{answers: {file: x, at_least: VALUE}}", ""),
    ("{answers: {file: x, lose_at_most: VALUE}}", "5"),
    ("{speed: VALUE}", "{}"),
    ("{speed: {pairs: VALUE}}", "5"),
    ("{speed: {concurrency: VALUE}}", "5"),
    ("{speed: {max_tokens: VALUE}}", "5"),
    ("{shape: VALUE}", "{}"),
    ("{shape: {allow: VALUE}}", "[x] []"),
    ("{benchmarks: VALUE}", ""),
    ("{benchmarks: {tasks: VALUE}}", "[x]"),
    ("{benchmarks: {tasks: [a], limit: VALUE}}", "5"),
    ("{benchmarks: {tasks: [a], lose_at_most: VALUE}}", ""),
    ("{benchmarks: {tasks: [a], timeout: VALUE}}", ""),
)
ZONE, WINDOW = "time_zone: UTC\n", "windows: {n: {days: [mon], from: 02:00, for: 3h}}\n"
SCHEDULE = (
    ("VALUE", ""),
    ("time_zone: VALUE\n" + WINDOW, ""),
    (ZONE + "windows: VALUE", ""),
    (ZONE + "windows: {n: VALUE}", ""),
    (ZONE + WINDOW.replace("[mon]", "VALUE"), ""),
    (ZONE + WINDOW.replace("mon", "VALUE"), ""),
    (ZONE + WINDOW.replace("02:00", "VALUE"), ""),
    (ZONE + WINDOW.replace("3h", "VALUE"), ""),
    (ZONE + WINDOW.replace("days: [mon]", "dates: VALUE"), ""),
    (ZONE + WINDOW.replace("days: [mon]", "dates: [VALUE]"), ""),
    (ZONE + WINDOW.replace("3h", "3h, jitter: VALUE"), ""),
    (WINDOW.replace("3h", "3h, time_zone: VALUE"), ""),
    (ZONE + WINDOW + "blackouts: VALUE", "[]"),
    (ZONE + WINDOW + "blackouts: [VALUE]", ""),
    (ZONE + WINDOW + "models: VALUE", "{}"),
    (ZONE + WINDOW + "models: {tiny: VALUE}", ""),
    (ZONE + WINDOW + "models: {tiny: {policy: VALUE}}", ""),
    (ZONE + WINDOW + "models: {tiny: {policy: auto, windows: VALUE}}", ""),
    (ZONE + WINDOW + "models: {tiny: {policy: auto, windows: [VALUE]}}", ""),
    (ZONE + WINDOW + "models: {tiny: {policy: auto, soak: VALUE}}", ""),
    (ZONE + WINDOW + "models_a_window: VALUE", "5"),
    (ZONE + WINDOW + "unreachable_hosts: VALUE", "5"),
    (ZONE + "warm: VALUE", ""),
    (ZONE + "warm: {tiny: VALUE}", ""),
    (ZONE + "warm: {tiny: {idle_after: 1h, when_asleep: VALUE}}", ""),
    (ZONE + "warm: {tiny: {idle_after: VALUE}}", ""),
    (ZONE + "warm: {tiny: {in_turn_with: VALUE}}", ""),
    (ZONE + "warm: {tiny: {in_turn_with: [VALUE]}}", ""),
)
HOOK = "channels: [{name: a, webhook: 'https://a.b/', %s}]"
MAIL = "channels: [{name: a, mail: {to: [a@b], from: a@b, server: h, %s}}]"
WORDS = "x .nan .inf 1e400 99999999999999999999999999 0x1F"
NOTIFY = (
    ("VALUE", "{}"),
    ("channels: VALUE", "[]"),
    ("channels: [VALUE]", ""),
    ("channels: [{name: VALUE, webhook: 'https://a.b/'}]", "x 1e400 99999999999999999999999999 0x1F"),
    ("channels: [{name: a, webhook: VALUE}]", ""),
    ("channels: [{name: a, webhook: {variable: VALUE}}]", "x"),
    ("channels: [{name: a, webhook: {file: VALUE}}]", ""),
    (HOOK % "form: VALUE", ""),
    (HOOK % "key: VALUE", ""),
    (HOOK % "when: VALUE", ""),
    (HOOK % "when: [VALUE]", ""),
    (HOOK % "commands: VALUE", ""),
    (HOOK % "commands: [VALUE]", ""),
    ("channels: [{name: a, mail: VALUE}]", ""),
    ("channels: [{name: a, mail: {to: VALUE, from: a@b, server: h}}]", ""),
    ("channels: [{name: a, mail: {to: [VALUE], from: a@b, server: h}}]", ""),
    ("channels: [{name: a, mail: {to: [a@b], from: VALUE, server: h}}]", ""),
    ("channels: [{name: a, mail: {to: [a@b], from: a@b, server: VALUE}}]", WORDS.replace(" .nan .inf", "")),
    (MAIL % "tls: VALUE", ""),
    (MAIL % "password: {file: /a}, user: VALUE", f"5 -5 {WORDS} \u0663 '\u0663%' '\u0663min'"),
    (MAIL % "user: a, password: VALUE", ""),
    ("channels: [{name: a, apprise: VALUE}]", ""),
    ("hooks: VALUE", "{}"),
    ("hooks: {before: VALUE}", ""),
    ("hooks: {after: {run: VALUE}}", ""),
    ("hooks: {after: {run: [VALUE]}}", ""),
    ("hooks: {before: {run: [/a, VALUE]}}", WORDS + " '' \u0663 '\u0663%' '\u0663min'"),
    ("hooks: {before: {run: [/a], seconds: VALUE}}", "5 1.5"),
)  # fmt: skip


def _of_guard(place: Path, text: str) -> None:
    head = "models:\n  tiny:\n    licence: apache-2.0\n    openness: open-weights\n    source: {repo: acme/tiny}\n"
    rest = "    engine: {name: vllm, version: 0.32.0}\n    resources: {accelerators: [cpu], memory: 6GiB}\n"
    versions = f'    versions: {{"1": {{revision: {"a0" * 20}}}}}\n'
    place.write_text(f"{head}{rest}    guard: {text}\n{versions}", "utf-8")
    load_registry(place)


def _of_schedule(place: Path, text: str) -> None:
    parse_schedule(place, text, ["tiny", "other"])


def _of_notify(place: Path, text: str) -> None:
    place.write_text(text, "utf-8")
    load_notify(place)


@pytest.mark.parametrize(
    ("read", "written", "taken"),
    [
        *((_of_guard, *row) for row in GUARD),
        *((_of_schedule, *row) for row in SCHEDULE),
        *((_of_notify, *row) for row in NOTIFY),
    ],
)
def test_a_value_of_another_shape_is_refused_with_its_line_and_what_to_write(
    tmp_path: Path, read: Callable[[Path, str], None], written: str, taken: str
) -> None:
    place, found = tmp_path / "settings.yaml", []
    for shape in SHAPES:
        try:
            read(place, written.replace("VALUE", shape))
        except InputError as error:
            first, *_ = error.message.split("\n")
            assert first.startswith(f"{place}:"), (shape, first)
            assert int(first.removeprefix(f"{place}:").partition(":")[0]), (shape, first)
            # A message that lists what is known says itself what to write.
            helps = error.hint and not error.hint.startswith(("see docs", "docs/"))
            assert helps or "; known: " in first, (shape, first, error.hint)
        else:
            found.append(shape)
    assert sorted(found) == sorted(taken.split())
