"""A result goes where the person says: a file is replaced whole, and nothing else is replaced by a file."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet
from toolkit.cli.completion import names
from toolkit.cli.terminal.result_file import require_place, write_result
from toolkit.errors import ToolkitError


@pytest.fixture
def serving(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Return two hosts that serve."""
    fleet = Fleet(prompt, monkeypatch, 2)
    assert fleet("deploy tiny@v1 --yes").code == 0
    return fleet


def test_a_file_is_replaced_whole_and_keeps_its_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "result.json"
    write_result(place, "first\n")
    place.chmod(0o640)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ToolkitError, match="No space left on device"):
            write_result(place, "second\n")
    assert (place.read_text(), list(tmp_path.iterdir())) == ("first\n", [place])
    write_result(place, "third\n")
    assert (place.read_text(), stat.S_IMODE(place.stat().st_mode)) == ("third\n", 0o640)


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    link, place = tmp_path / "link", tmp_path / "below" / "result.json"
    place.parent.mkdir()
    link.symlink_to(place)
    write_result(link, "text\n")
    assert (link.is_symlink(), place.read_text()) == (True, "text\n")


class Pipe:
    """A named pipe with a reader."""

    def __init__(self, place: Path) -> None:
        self.path, self._heard = place / "pipe", list[str]()
        os.mkfifo(self.path)
        self._reader = Thread(target=lambda: self._heard.append(self.path.read_text()), daemon=True)
        self._reader.start()

    def text(self) -> str:
        """Return what was written to it, if it is still a pipe."""
        assert self.path.is_fifo()
        self._reader.join(20)
        return self._heard[0]


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    require_place(pipe.path)
    write_result(pipe.path, "text\n")
    assert pipe.text() == "text\n"


@pytest.mark.parametrize("directory", ["/dev/fd", "/proc/self/fd"])
def test_an_open_file_is_written_to_by_its_number(tmp_path: Path, directory: str) -> None:
    place = tmp_path / "result.json"
    with place.open("w") as file:
        path = Path(directory, str(file.fileno()))
        require_place(path)
        write_result(path, "text\n")
        assert os.fstat(file.fileno()).st_nlink == 1
    assert place.read_text() == "text\n"


@pytest.mark.parametrize(
    ("command", "begin"),
    [("bom tiny", "{"), ("prove tiny", "{"), ("report --no-outdated", "<!doctype html>")],
)
def test_no_command_puts_a_file_in_the_place_of_a_pipe(
    serving: Fleet, command: str, begin: str
) -> None:
    pipe = Pipe(serving.prompt.place)
    assert serving(f"{command} --output {pipe.path}").code == 0
    assert pipe.text().startswith(begin)


def test_an_exported_configuration_goes_into_a_pipe(serving: Fleet) -> None:
    pipe = Pipe(serving.prompt.place)
    assert serving(f"export litellm --output {pipe.path}").code == 0
    assert "model_list:" in pipe.text()


@pytest.mark.parametrize(
    ("command", "begin"),
    [
        ("bom tiny", "{"),
        ("prove tiny", "{"),
        ("report --no-outdated", "<!doctype html>"),
        ("export litellm", "# Written by"),
    ],
)
def test_a_dash_is_standard_output_with_the_result_alone(
    serving: Fleet, command: str, begin: str
) -> None:
    said = serving.prompt(*command.split(), "--output", "-")
    assert (said.code, said.out[: len(begin)]) == (0, begin), said
    if begin == "{":
        json.loads(said.out)
    elif begin.startswith("<"):
        assert said.out.endswith("</html>\n")
    assert not (serving.prompt.place / "-").exists()


def test_every_command_with_an_output_knows_the_dash(serving: Fleet) -> None:
    words = json.loads((Path(names.__file__).parent / "words.json").read_text())
    found = {command for command, said in words.items() if "--output" in said["options"]}
    assert found == {"bom", "prove", "report", "export litellm", "gate record"}


@pytest.mark.parametrize(
    "command",
    [
        "report --no-outdated --json --output -",
        "prove tiny --json --output -",
        "prove tiny --output proof.json --checker -",
        "gate record tiny --prompts prompts --output -",
    ],
)
def test_a_dash_is_refused_where_standard_output_cannot_take_the_result(
    serving: Fleet, command: str
) -> None:
    (serving.prompt.place / "prompts").write_text("Hello\n")
    said = serving.prompt(*command.split())
    assert said.code == 2, said
    assert not (serving.prompt.place / "-").exists()


def test_a_report_is_refused_before_any_host_is_asked(
    serving: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for host in serving.world.hosts.values():
        monkeypatch.setattr(host, "observe", lambda: asked.append("it"))
    said = serving("report --no-outdated --output nowhere/report.html")
    assert (said.code, asked) == (2, [])
