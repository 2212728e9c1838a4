"""The documents say what is: exit codes, variables, paths and links are today's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from scripts.write_reference import contexts
from tests.documents import DOCS, HAND_WRITTEN, ROOT, fenced, inline_code, table_rows
from toolkit import __version__, errors
from toolkit.planning.engines.vllm_log import decisive_line

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


def test_the_table_of_exit_codes_is_the_error_tree() -> None:
    documented = {
        int(code): kind.split("`")[1] if "`" in kind else ""
        for code, kind in table_rows(OPERATIONS, "Exit codes", 2)
    }
    tree = {
        each.exit_code: each.kind for each in reversed(list(error_classes(errors.ToolkitError)))
    }
    assert documented == {0: "", **tree}


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
    from toolkit.config.inventory.host_variables import FIELDS, LOGIN, SUDO
    from toolkit.domain.hosts.fleet import Host

    rows = table_rows(OPERATIONS, "The fleet file", 3)
    documented = {
        name: default for names, default, _ in rows for name in re.findall("`(.+?)`", names)
    }
    assert documented.keys() == {*FIELDS, *LOGIN, SUDO}
    host = Host("localhost", connection="ssh")
    # those without a default of their own are told in words
    given = {name: text.strip("`") for name, text in documented.items() if text.startswith("`")}
    given.pop("toolkit_address")
    assert given == {name: str(getattr(host, FIELDS[name][0])) for name in given}


def test_the_variables_of_roles_are_documented() -> None:
    from toolkit.config.inventory.host_settings import SETTINGS

    fleet = (ROOT / "docs" / "fleet.md").read_text("utf-8")
    rows = table_rows(fleet, "From bare hosts to hosts that can serve", 2)
    assert {name.strip("`") for name, _ in rows} == set(SETTINGS)


def test_fleet_files_in_documents_can_be_read(tmp_path: Path) -> None:
    from toolkit.config.inventory.fleet import load_fleet

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
    # settings of the fleet file, what follows from them, and what was seen of the host
    assert {name for name in role if name != "router_paths"} - set(documented) == {
        "router_metrics_bind",
        "router_metrics_from",
        "router_exporters",
        "router_relay_bind",
        "router_peers",
        "router_cors_origins",
        "router_relays",
        "router_tls_certificate",
        "router_tls_key",
        "router_tls_digest",
        "router_require_keys",
        "router_seen",
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
        if not found.startswith(SYSTEM_PATHS) and not re.match(r"/(v1|v2|m|api|metrics)/", found)
    }
    assert absolute == set()
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", text)


def test_the_changelog_knows_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## \[{re.escape(__version__)}\]", changes, re.MULTILINE)
