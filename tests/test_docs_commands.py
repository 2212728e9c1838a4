"""What the documents say to type would be accepted: commands, options and `make` targets are today's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from scripts.write_reference import commands_text, contexts
from tests.documents import HAND_WRITTEN, ROOT, fenced, inline_code
from toolkit.cli.main import COMMANDS, cli


def context_of(words: list[str]) -> tuple[click.Context, list[str]]:
    """Return the deepest command that `words` name, and the words that are left."""
    # A command remembers the names of the help option of its first context, for tests of its help too.
    context = click.Context(cli, info_name="toolkit", **cli.context_settings)
    while isinstance(context.command, click.Group):
        while words and words[0].startswith("-"):
            words = words[1:]
        if not words:
            break
        found = context.command.get_command(context, words[0])
        if found is None:
            raise AssertionError(f"{context.command_path} has no command {words[0]!r}")
        context, words = click.Context(found, info_name=words[0], parent=context), words[1:]
    return context, words


def test_the_commands_page_is_todays() -> None:
    written = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert written == commands_text(), "make reference writes it anew"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_command_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.help is not None
    assert COMMANDS[name][1] == command.help.strip().splitlines()[0]


@pytest.mark.parametrize("context", list(contexts()), ids=lambda context: context.command_path)
def test_every_command_and_option_is_explained(context: click.Context) -> None:
    assert context.command.help
    for parameter in context.command.get_params(context):
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{context.command_path} {parameter.opts[0]}"


@pytest.mark.parametrize("text", ["\u0663", "1_0", " 1", "nan", "inf", "1" * 30, "1e3", ""])
def test_numbers_have_the_digits_of_ascii_alone(text: str) -> None:
    numbers = [
        (context, parameter)
        for context in contexts()
        for parameter in context.command.get_params(context)
        if isinstance(parameter.type, (click.types.IntParamType, click.types.FloatParamType))
    ]
    assert len(numbers) > 15
    for context, parameter in numbers:
        with pytest.raises(click.BadParameter, match="number"):
            parameter.type.convert(text, parameter, context)


@pytest.mark.parametrize(
    "context",
    [
        each
        for each in contexts()
        # What these print is for a shell and for roff.
        if not isinstance(each.command, click.Group) and each.info_name not in ("completion", "man")
    ],
    ids=lambda context: context.command_path,
)
def test_every_command_answers_json(context: click.Context) -> None:
    options = {each for parameter in context.command.params for each in parameter.opts}
    assert "--json" in options


# What changes that serves and asks nobody: each does one thing to one model, and its name says which.
AT_ONCE = {"wake", "promote", "abort"}


def test_the_readme_says_which_commands_take_the_common_options() -> None:
    options = {
        context.command_path.removeprefix("toolkit "): {
            name for each in context.command.get_params(context) for name in each.opts
        }
        for context in contexts()
        if not isinstance(context.command, click.Group)
    }
    without = " and ".join(f"`{name}`" for name in options if "--json" not in options[name])
    planned = {name for name, taken in options.items() if "--dry-run" in taken}
    assert {name for name, taken in options.items() if "--yes" in taken} <= planned
    assert {"deploy", "upgrade", "rollback", "stop", "sleep", "hosts drain"} <= planned
    assert not AT_ONCE & planned
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"Every command but {without} takes `--json`." in readme
    assert "`wake`, `promote` and `abort`, which act at once" in readme


@dataclass(frozen=True)
class Line:
    """A command line of a document: where it stands and its words after `toolkit`."""

    document: str
    number: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}:{self.number} toolkit {shlex.join(self.words)}"


def command_lines(path: Path) -> Iterator[Line]:
    """Yield every `toolkit` command line in the code blocks of a document."""
    for number, kind, line in fenced(path.read_text("utf-8")):
        # Tables that a benchmark printed are output, not commands.
        if path.name == "benchmarks.md" and kind == "text":
            continue
        # A block of no kind is a picture.
        for words in commands_in(line) if kind else ():
            yield Line(path.relative_to(ROOT).as_posix(), number, words)


def commands_in(line: str) -> Iterator[tuple[str, ...]]:
    """Yield the words after `toolkit` for each call in a shell line or a unit's ExecStart."""
    line = re.sub(r"^\s*(\$ |# (?=toolkit )|Exec\w+=)", "", line)
    line = re.sub(r"\$\((.*?)\)", r"; \1 ;", line.replace('"$(', "$(").replace(')"', ")"))
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()")
        lexer.whitespace_split, lexer.commenters = True, "#"
        tokens = list(lexer)
    except ValueError:
        return
    calls: list[list[str]] = [[]]
    for token in tokens:
        if token and set(token) <= set(";&|()"):
            calls.append([])
        else:
            calls[-1].append(token)
    for call in calls:
        while call and (
            "=" in call[0] or call[0] in ("sudo", "env", "exec", "time", "if", "then", "!")
        ):
            call = call[1:]
        if call and (call[0] == "toolkit" or call[0].endswith("/bin/toolkit")):
            yield tuple(_without_redirections(call[1:]))


def _without_redirections(words: list[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if re.fullmatch(r"\d?(>>?|<)", word):
            next(rest, None)
        elif not re.match(r"\d?>", word):
            yield word


LINES = [line for path in HAND_WRITTEN for line in command_lines(path)]


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_command_line_of_the_documents_would_be_accepted(line: Line) -> None:
    context, rest = context_of(list(line.words))
    if not isinstance(context.command, click.Group):
        try:
            context.command.make_context(context.info_name, list(rest), parent=context.parent)
        except click.exceptions.Exit:
            return  # --help


def test_the_documents_have_command_lines_to_try() -> None:
    with_lines = {line.document for line in LINES}
    assert {"README.md", "docs/operations.md", "docs/troubleshooting.md"} <= with_lines


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("toolkit pull qwen-7b", [("pull", "qwen-7b")]),
        ("$ TOOLKIT_HOME=/x sudo toolkit status  # look", [("status",)]),
        ("toolkit status && toolkit logs m -f | head", [("status",), ("logs", "m", "-f")]),
        ('eval "$(toolkit completion bash)"', [("completion", "bash")]),
        ("ExecStart=/opt/x/bin/toolkit upgrade m --yes", [("upgrade", "m", "--yes")]),
        ("toolkit status --json > status.json", [("status", "--json")]),
        ("the toolkit is text", []),
    ],
)
def test_command_lines_are_found(line: str, calls: list[tuple[str, ...]]) -> None:
    assert list(commands_in(line)) == calls


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=lambda path: path.name)
def test_commands_named_in_a_sentence_exist(path: Path) -> None:
    for code in inline_code(path):
        if not code.startswith("toolkit ") or "{" in code:
            continue
        context, rest = context_of([word for word in code.split()[1:] if word not in ("…", "...")])
        assert_options_exist(context, rest, f"{path.name}: {code}")


def test_commands_that_hints_name_exist() -> None:
    wrong = []
    for path in sorted(ROOT.glob("toolkit/**/*.py")):
        for named in re.findall(
            r"toolkit ((?:registry |engine |bundle )?[a-z]+) (?=[A-Z{\-])", path.read_text("utf-8")
        ):
            words = named.split()
            try:
                context_of(words)
            except AssertionError as error:
                wrong.append(f"{path.name}: {error}")
    assert wrong == []


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=lambda path: path.name)
def test_make_targets_named_in_a_document_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = path.read_text("utf-8")
    code = [*inline_code(path), *(line for _, _, line in fenced(text))]
    named = {word for each in code for word in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", each)}
    assert named - targets == set()


def assert_options_exist(context: click.Context, words: list[str], where: str) -> None:
    known = {
        name
        for parameter in context.command.get_params(context)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{where}: no option {word}"
