"""Inventories read through Ansible itself: its formats, its order of variables, and what it may not do here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import until
from tests.pace import Pace
from toolkit.adapters.ansible import inventory
from toolkit.adapters.ansible.inventory import read_inventory
from toolkit.config.inventory.fleet import load_fleet
from toolkit.config.inventory.host_variables import is_known
from toolkit.config.inventory.plain import read_plain
from toolkit.domain.secret import Secret
from toolkit.errors import InputError

SCRIPT = """\
#!/bin/sh
echo '{"gpus": {"hosts": ["gpu-2", "gpu-1"], "vars": {"toolkit_root": "/srv"}},
  "_meta": {"hostvars": {"gpu-1": {"ansible_host": "10.0.0.1"}}}}'
"""
MANY = """\
toolkit_root: "/srv/{{ inventory_hostname }}"
ansible_host: "{{ inventory_hostname }}.lan"
ansible_user: "{{ 'ops' }}"
"""
PASSWORD = "of-the-vault"
SECRET = "Tr0ub4dor-and-3"


def lay(top: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)


@pytest.mark.parametrize(
    ("files", "named", "hosts"),
    [
        (
            {
                "fleet.yaml": "all: {children: {gpus: {hosts: {gpu-1: {ansible_host: 10.0.0.1}}}}}",
                "group_vars/all.yml": "router_require_keys: true\ntoolkit_root: /all\n",
                "group_vars/gpus/main.yml": "toolkit_root: /gpus\n",
                "host_vars/gpu-1.yml": "toolkit_port_base: 9000\n",
            },
            "fleet.yaml",
            {
                "gpu-1": {
                    "ansible_host": "10.0.0.1",
                    "router_require_keys": True,
                    "toolkit_root": "/gpus",
                    "toolkit_port_base": 9000,
                }
            },
        ),
        (
            {"hosts": "gpu-[1:2] toolkit_port_base=9000\n[web]\na1\n[all:vars]\ntoolkit_root=/srv\n"},
            "hosts",
            {
                "gpu-1": {"toolkit_port_base": 9000, "toolkit_root": "/srv"},
                "gpu-2": {"toolkit_port_base": 9000, "toolkit_root": "/srv"},
                "a1": {"toolkit_root": "/srv"},
            },
        ),
        (
            {
                "inventory/one.yaml": "gpus: {hosts: {gpu-1: }}",
                "inventory/two.ini": "[gpus:vars]\ntoolkit_root=/srv\n",
                "inventory/group_vars/gpus.yml": "toolkit_port_base: 9000\n",
            },
            "inventory",
            {"gpu-1": {"toolkit_root": "/srv", "toolkit_port_base": 9000}},
        ),
        (
            {"cloud.sh": SCRIPT},
            "cloud.sh",
            {
                "gpu-2": {"toolkit_root": "/srv"},
                "gpu-1": {"toolkit_root": "/srv", "ansible_host": "10.0.0.1"},
            },
        ),
        (
            {
                "fleet.yaml": "all: {hosts: {gpu-1: {site: north, n: 7, "
                "ansible_host: '{{ inventory_hostname }}.{{ site }}', toolkit_root: '{{ top }}/x',"
                " other: '{{ undefined }}', toolkit_port_base: '{{ 9000 + n }}'}},"
                " vars: {top: /srv}}"
            },
            "fleet.yaml",
            {
                "gpu-1": {
                    "site": "north",
                    "n": 7,
                    "top": "/srv",
                    "ansible_host": "gpu-1.north",
                    "toolkit_root": "/srv/x",
                    "toolkit_port_base": 9007,
                    # the toolkit does not read it
                    "other": "{{ undefined }}",
                }
            },
        ),
    ],
    ids=["group_vars", "ini", "directory", "script", "templates"],
)  # fmt: skip
def test_ansible_reads_it(
    tmp_path: Path, files: dict[str, str], named: str, hosts: dict[str, Any]
) -> None:
    lay(tmp_path, files)
    found = read_inventory(tmp_path / named, is_known)
    assert found == hosts
    assert list(found) == list(hosts)


def test_no_module_of_the_working_directory_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, {"hosts": "gpu-1\n", "yaml.py": "raise SystemExit('it ran')\n"})
    monkeypatch.chdir(tmp_path)
    assert list(read_inventory(Path("hosts"), is_known)) == ["gpu-1"]


def test_templates_of_many_hosts_are_evaluated(tmp_path: Path) -> None:
    lay(tmp_path, {"hosts": "gpu-[1:450]\n", "group_vars/all.yml": MANY})
    found = read_inventory(tmp_path / "hosts", is_known)
    assert len(found) == 450
    assert found["gpu-450"]["toolkit_root"] == "/srv/gpu-450"
    assert {each["ansible_host"] for each in found.values()} == {f"{name}.lan" for name in found}


def test_the_operators_form_of_results_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "own.cfg"
    settings.write_text("[defaults]\ncallback_result_format = yaml\n")
    monkeypatch.setenv("ANSIBLE_CONFIG", str(settings))
    inventory = tmp_path / "fleet.yaml"
    inventory.write_text('all:\n  hosts:\n    gpu1: {base: 10.0.0, ansible_host: "{{ base }}.1"}\n')
    assert read_inventory(inventory, is_known)["gpu1"]["ansible_host"] == "10.0.0.1"


def test_a_list_of_names_is_an_inventory() -> None:
    assert read_inventory(Path("gpu-1,gpu-2,"), is_known) == {"gpu-1": {}, "gpu-2": {}}


@pytest.mark.parametrize(
    "text",
    [
        "all: {vars: {toolkit_root: /a}, hosts: {box: {toolkit_root: /b}, box2: }}",
        "all: {vars: {toolkit_root: /a, x: 1}, children: {z: {vars: {toolkit_root: /b}, hosts: {box: }}, "
        "a: {hosts: {b: }}}}",
        "all: {hosts: {box: {toolkit_root: /own}}, children: {gpus: {vars: {toolkit_root: /b}, hosts: {box: }}}}",
        "gpus: {hosts: {box: }}\nungrouped:\n",
        "gpus: {vars: {x: true, y: 1.5, z: [1, {a: null}]}, hosts: {box: }}\n",
    ],
)
def test_a_plain_file_means_the_same_to_both_readers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    plain = read_plain(path)
    assert plain is not None
    assert plain.hosts == read_inventory(path, is_known)


def encrypted(top: Path, words: list[str], text: str) -> str:
    (top / "password").write_text(PASSWORD)
    argv = [sys.executable, "-m", "ansible", "vault", *words, "--vault-password-file", "password"]
    done = subprocess.run(
        argv,
        cwd=top,
        input=text,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    return done.stdout


def test_vaulted_values_and_files_are_decrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = encrypted(tmp_path, ["encrypt_string", "--stdin-name", "toolkit_user"], "models")
    whole = encrypted(tmp_path, ["encrypt", "--output", "-", "-"], "top: /srv\n")
    lay(
        tmp_path,
        {
            "fleet.yaml": "all: {hosts: {box: {toolkit_root: '{{ top }}'}}}",
            "group_vars/all/inline.yml": inline,
            "group_vars/all/whole.yml": whole,
        },
    )
    with pytest.raises(InputError, match="no vault secrets found") as caught:
        read_inventory(tmp_path / "fleet.yaml", is_known)
    assert "ANSIBLE_VAULT_PASSWORD_FILE" in caught.value.hint
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    found = read_inventory(tmp_path / "fleet.yaml", is_known)
    assert found == {"box": {"top": "/srv", "toolkit_root": "/srv", "toolkit_user": "models"}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fleet.yaml", "all: {hosts: {box: {ansible_host: 10.0.0.1}}}\n"),
        ("hosts.ini", "box ansible_host=10.0.0.1\n"),
    ],
)
def test_an_inventory_that_is_vaulted_as_a_whole_is_decrypted(
    tmp_path: Path, name: str, text: str
) -> None:
    lay(tmp_path, {name: encrypted(tmp_path, ["encrypt", "--output", "-", "-"], text)})

    def read(password: Secret | None) -> str:
        found = load_fleet(
            tmp_path / name,
            lambda path: read_inventory(path, is_known, vault_password=password),
        )
        return found.hosts[0].address

    with pytest.raises(InputError) as caught:
        read(None)
    assert "--ask-vault-pass" in caught.value.hint
    assert read(Secret(PASSWORD)) == "10.0.0.1"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"x.ini": "[gpus\n"}, "Ansible cannot read it: not enough values to unpack"),
        ({"hosts": "box note=\"x\n"}, "Error parsing host definition 'box note=\"x': No closing quotation"),
        ({"x.sh": "#!/bin/sh\necho oh no\nexit 3\n"}, "cannot read it: Inventory script returned non-zero exit code 3"),
        ({"x.yaml": "all:\n  hosts: ['{{ a }}'\n"}, "cannot read it: YAML parsing failed: While parsing a flow"),
        ({"x.yaml": "all: {hosts: ['{{ a }}']}\n"}, "cannot read it: Invalid \"hosts\" entry for \"all\" group"),
        ({"x.yaml": "plugin: acme.cloud.hosts\n"}, "specifies unknown plugin 'acme.cloud.hosts'"),
        ({"many/a.ini": "box\n", "many/b.ini": "[x\n"}, "cannot read it: not enough values to unpack"),
        ({"x.yaml": "all: {hosts: {a: {toolkit_root: '{{ no_such }}'}}}"}, "'no_such' is undefined"),
    ],
)  # fmt: skip
def test_what_ansible_cannot_read_is_told_in_its_words(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    lay(tmp_path, files)
    with pytest.raises(InputError) as caught:
        read_inventory(tmp_path / next(iter(files)).partition("/")[0], is_known)
    assert words in caught.value.message


def test_a_script_that_hangs_ends_with_all_that_it_started(tmp_path: Path, pace: Pace) -> None:
    mark = tmp_path / "child"
    lay(tmp_path, {"slow.sh": f"#!/bin/sh\nsleep 300 &\necho $! > {mark}\nwait\n"})
    # Ansible itself takes its time on a busy machine, so that the script may not have begun within the first limit.
    for seconds in (2, 20):
        began = pace()
        with pytest.raises(InputError, match=f"has not read it within {seconds} seconds"):
            read_inventory(tmp_path / "slow.sh", is_known, seconds=seconds)
        assert pace() - began < seconds + 10
        if mark.exists() and mark.read_text().endswith("\n"):
            break
    child = int(mark.read_text())
    until(lambda: _ended(child))


def _ended(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_an_inventory_without_an_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "MOST_BYTES", 2**14)
    lay(tmp_path, {"hosts": f"gpu-[1:400] toolkit_root=/srv/{'x' * 40}"})
    with pytest.raises(InputError, match="has more than"):
        read_inventory(tmp_path / "hosts", is_known)


@pytest.mark.parametrize(
    "group", [5, {"hosts": 5}, {"hosts": {}, "children": 5}, {"children": {"a": 1}}], ids=str
)
def test_a_group_of_another_form_is_no_inventory(group: object) -> None:
    with pytest.raises(ValueError, match="all"):
        inventory._in_order({"_meta": {"hostvars": {}}, "all": group})


def test_a_member_that_is_no_name_is_none() -> None:
    groups = {"all": {"children": [{"a": 1}, "b"]}, "b": {"hosts": [{"c": 1}, "gpu1"]}}
    found = inventory._in_order({"_meta": {"hostvars": {}}, **groups})
    assert found == {"gpu1": {}}


@pytest.mark.parametrize("place", ["hosts", "fleet/hosts"])
def test_a_file_that_is_no_inventory_by_its_size_is_not_read(tmp_path: Path, place: str) -> None:
    """Ansible would read it whole: 9.6 GB of memory for 5 GB of zeros."""
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(InputError, match="the inventory has more than 32 MiB") as caught:
        read_inventory(tmp_path / place.split("/")[0], lambda _: True, seconds=5)
    assert caught.value.hint


@pytest.mark.parametrize("open_", ["inventory", "inventory/cloud.sh"])
def test_an_inventory_that_others_may_write_runs_nothing(tmp_path: Path, open_: str) -> None:
    lay(tmp_path, {"inventory/cloud.sh": f"#!/bin/sh\ntouch {tmp_path}/ran\necho '{{}}'\n"})
    (tmp_path / open_).chmod(0o777)
    with pytest.raises(InputError, match="every user of this machine may write to it") as caught:
        read_inventory(tmp_path / "inventory", is_known)
    assert caught.value.hint == f"chmod o-w {tmp_path / open_}"
    assert not (tmp_path / "ran").exists()


def test_the_locale_of_the_caller_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "POSIX")
    lay(tmp_path, {"hosts": "gpu-1 note=häuser\n"})
    assert read_inventory(tmp_path / "hosts", is_known) == {"gpu-1": {"note": "häuser"}}


def test_keys_asked_for_in_group_vars_are_asked_for(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "fleet.yaml": "all: {hosts: {here: {ansible_connection: local}}}",
            "group_vars/all.yml": "router_require_keys: true\n",
        },
    )
    read = load_fleet(tmp_path / "fleet.yaml", lambda path: read_inventory(path, is_known))
    assert read.hosts[0].router_require_keys
