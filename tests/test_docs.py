"""The documents say what is: commands, options, exit codes, variables, paths and links are today's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from scripts.write_reference import commands_text, contexts
from toolkit import __version__, errors
from toolkit.cli.main import COMMANDS, cli
from toolkit.planning.log_reading import decisive_line

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
# Written from the source itself; commands in it are usage lines.
HAND_WRITTEN = [path for path in DOCS if path.name != "commands.md"]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
# Where an absolute path in a document may lead: into the system, never into somebody's home or checkout.
SYSTEM_PATHS = (
    "/var/lib/toolkit",
    "/var/spool/",
    "/etc/",
    "/usr/",
    "/opt/",
    "/run/",
    "/srv/",
    "/home/",
    "/dev/",
)
TOP = {each.name for each in ROOT.iterdir() if not each.name.startswith(".")}


def context_of(words: list[str]) -> tuple[click.Context, list[str]]:
    """Return the deepest command that `words` name, and the words that are left."""
    context = click.Context(cli, info_name="toolkit")
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


# Commands and their options


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


@pytest.mark.parametrize(
    "context",
    [
        each
        for each in contexts()
        # what `completion` prints is for a shell
        if not isinstance(each.command, click.Group) and each.info_name != "completion"
    ],
    ids=lambda context: context.command_path,
)
def test_every_command_answers_json(context: click.Context) -> None:
    options = {each for parameter in context.command.params for each in parameter.opts}
    assert "--json" in options


# Command lines in the documents


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


def fenced(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (number, kind of block, line) of all lines in code blocks, continued lines joined."""
    inside, kind, held, first = False, "", "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            inside, kind = not inside, line.strip().removeprefix("```")
            continue
        if inside:
            first = first if held else number
            held += line.removesuffix("\\")
            if not line.endswith("\\"):
                yield first, kind, held
                held = ""


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


# Tables that are held equal to the source


def test_the_table_of_exit_codes_is_the_error_tree() -> None:
    documented = {
        int(code): kind.split("`")[1] if "`" in kind else ""
        for code, kind in table_rows(OPERATIONS, "Exit codes", 2)
    }
    tree = {
        each.exit_code: each.kind for each in reversed(list(error_classes(errors.ToolkitError)))
    }
    # success, and what the shell's convention says of an interruption
    assert documented == {0: "", **tree, 130: ""}


def error_classes(top: type[errors.ToolkitError]) -> Iterator[type[errors.ToolkitError]]:
    yield top
    for each in top.__subclasses__():
        yield from error_classes(each)


def test_every_variable_that_stands_for_an_option_is_documented() -> None:
    documented = {name.strip("`") for name, _ in table_rows(OPERATIONS, "Environment variables", 2)}
    wanted = {
        parameter.envvar
        for context in contexts()
        for parameter in context.command.params
        if isinstance(parameter.envvar, str)
    }
    assert wanted and wanted <= documented


def test_the_fleet_files_variables_are_documented() -> None:
    from toolkit.config.fleet import _LOGIN, _VARIABLES, _WORDS
    from toolkit.domain.fleet import Host

    rows = table_rows(OPERATIONS, "The fleet file", 3)
    documented = {
        name: default for names, default, _ in rows for name in re.findall("`(.+?)`", names)
    }
    assert documented.keys() == {*_VARIABLES, *_LOGIN, _WORDS}
    host = Host("localhost", connection="ssh")
    # those without a default of their own are told in words
    given = {name: text.strip("`") for name, text in documented.items() if text.startswith("`")}
    given.pop("toolkit_address")
    assert given == {name: str(getattr(host, _VARIABLES[name])) for name in given}


def test_the_variables_of_roles_are_documented() -> None:
    from toolkit.config.host_settings import SETTINGS

    fleet = (ROOT / "docs" / "fleet.md").read_text("utf-8")
    rows = table_rows(fleet, "From bare hosts to hosts that can serve", 2)
    assert {name.strip("`") for name, _ in rows} == set(SETTINGS)


def test_fleet_files_in_documents_can_be_read(tmp_path: Path) -> None:
    from toolkit.config.fleet import load_fleet

    examples = [
        text
        for path in HAND_WRITTEN
        for text in re.findall(r"```yaml\n(all:\n.*?)```", path.read_text("utf-8"), re.DOTALL)
    ]
    assert len(examples) >= 2
    for example in examples:
        (tmp_path / "fleet.yaml").write_text(example)
        assert load_fleet(tmp_path / "fleet.yaml").hosts


def test_the_routers_limits_are_the_roles() -> None:
    documented = {
        name.strip("`"): value.strip("`")
        for name, value, _ in table_rows(OPERATIONS, "Limits of the router", 3)
    }
    role = YAML(typ="safe").load(ROOT / "playbooks" / "roles" / "router" / "defaults" / "main.yml")
    assert documented == {name: str(role[name]) for name in documented}
    # settings of the fleet file, and what follows from them
    assert {name for name in role if name != "router_paths"} - set(documented) == {
        "router_metrics_bind",
        "router_relay_bind",
        "router_peers",
        "router_tls_certificate",
        "router_tls_key",
        "router_tls_digest",
        "router_require_keys",
    }


ENGINE_LOGS = sorted((ROOT / "tests" / "planning" / "engine_logs").glob("*.log"))


@pytest.mark.parametrize("log", ENGINE_LOGS, ids=lambda path: path.stem)
def test_every_real_failure_of_an_engine_is_explained(log: Path) -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    decisive = decisive_line(log.read_text("utf-8").splitlines())
    known = [
        ".*".join(re.escape(part) for part in row[0].strip("`").split("..."))
        for row in table_rows(text, "The replica does not start", 1)
    ]
    assert [each for each in known if re.search(each, decisive)], decisive


def table_rows(text: str, heading: str, columns: int) -> list[tuple[str, ...]]:
    """Return the first `columns` cells of each row of the first table under a heading."""
    section = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
    rows = [
        line
        for line in re.split(r"^#", section, flags=re.MULTILINE)[0].splitlines()
        if line[:1] == "|"
    ]
    assert len(rows) > 2, f"no table under {heading}"
    return [tuple(cell.strip() for cell in row.strip("|").split("|"))[:columns] for row in rows[2:]]


# Links and paths


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert dead == []


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_leads_to_every_document() -> None:
    linked = set(re.findall(r"\]\(([^)#\s]+)", (ROOT / "README.md").read_text("utf-8")))
    assert {path.relative_to(ROOT).as_posix() for path in DOCS} - {"README.md"} <= linked


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=lambda path: path.name)
def test_files_named_in_a_document_exist(path: Path) -> None:
    absent = []
    for code in inline_code(path):
        named = re.fullmatch(r"([\w.-]+)(/[\w./*-]*)?", code)
        inside = named and named[1] in TOP and named[2]
        if inside and not any(True for _ in ROOT.glob(code.rstrip("/"))):
            absent.append(code)
    assert absent == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_paths_of_a_document_are_nobodys_own(path: Path) -> None:
    text = path.read_text("utf-8")
    code = [*inline_code(path), *(line for _, _, line in fenced(text))]
    absolute = {
        found
        for line in code
        for found in re.findall(r"(?<![\w.~:/}>*\]])(/[a-z]+/[\w./-]+)", line)
        if not found.startswith(SYSTEM_PATHS) and not re.match(r"/(v1|v2|m|api)/", found)
    }
    assert absolute == set()
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", text)


def test_the_changelog_knows_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## \[{re.escape(__version__)}\]", changes, re.MULTILINE)


def inline_code(path: Path) -> list[str]:
    """Return what stands between backticks in the sentences of a document."""
    text = re.sub(r"^\s*```.*?^\s*```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]


def assert_options_exist(context: click.Context, words: list[str], where: str) -> None:
    known = {
        name
        for parameter in context.command.get_params(context)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{where}: no option {word}"
