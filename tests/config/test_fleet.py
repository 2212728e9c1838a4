"""The fleet file: an Ansible inventory, or one message that says where it is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from toolkit.config.inventory.fleet import LOCALHOST, load_fleet
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import InputError

NO_ADDRESS = "has no address at which the other hosts reach it"


def read(tmp_path: Path, text: str) -> Host:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    (host,) = load_fleet(path).hosts
    return host


def test_without_a_file_the_fleet_is_this_machine() -> None:
    assert load_fleet(None) == LOCALHOST
    assert LOCALHOST.hosts == (Host("localhost"),)
    assert LOCALHOST.hosts[0].connection == "local"


def test_every_variable_is_read(tmp_path: Path) -> None:
    text = """\
# a comment
all:
  hosts:
    box:
      ansible_connection: local
      ansible_host: 10.0.0.7
      ansible_python_interpreter: /opt/python/bin/python3
      ansible_become_method: sudo  # as the toolkit does anyway
      datacenter: north  # not ours, and no fault
      toolkit_root: /srv/toolkit
      toolkit_user: models
      toolkit_port_base: 9000
      router_bind: "*:80"
      router_metrics_bind: "[::1]:8405"
      router_tls_certificate: /etc/toolkit/door.pem
      router_tls_key: /etc/toolkit/door.key
      router_require_keys: true
      toolkit_swarm_tls: true
      toolkit_site: north-2
"""
    assert read(tmp_path, text) == Host(
        name="box",
        connection="local",
        address="10.0.0.7",
        root="/srv/toolkit",
        router_bind="*:80",
        router_metrics_bind="[::1]:8405",
        router_tls_certificate="/etc/toolkit/door.pem",
        router_tls_key="/etc/toolkit/door.key",
        router_require_keys=True,
        swarm_tls=True,
        site="north-2",
        port_base=9000,
        user="models",
        python="/opt/python/bin/python3",
    )


@pytest.mark.parametrize(
    ("text", "root"),
    [
        # a host's own word, then its group's, then the parent group's
        ("all: {vars: {toolkit_root: /a}, hosts: {box: {ansible_connection: local}}}", "/a"),
        (
            "all: {vars: {toolkit_root: /a}, hosts: {box: {ansible_connection: local, toolkit_root: /b}}}",
            "/b",
        ),
        (
            "all: {vars: {ansible_connection: local, toolkit_root: /a}, "
            "children: {gpus: {vars: {toolkit_root: /b}, hosts: {box: }}}}",
            "/b",
        ),
        # one host in several groups, as Ansible users write them
        (
            "all: {hosts: {box: {ansible_connection: local, toolkit_root: /own}}, "
            "children: {gpus: {vars: {toolkit_root: /b}, hosts: {box: }}}}",
            "/own",
        ),
        (
            "all: {hosts: {box: {ansible_connection: local}}, children: {a: {hosts: {box: }}, "
            "b: {vars: {toolkit_root: /b}, hosts: {box: }}, empty: }}",
            "/b",
        ),
        ("gpus: {hosts: {box: {ansible_connection: local}}}\nungrouped:\n", "/var/lib/toolkit"),
        ("all: {hosts: {7: {ansible_connection: local}}}", "/var/lib/toolkit"),
    ],
)
def test_groups_are_read_as_ansible_reads_them(tmp_path: Path, text: str, root: str) -> None:
    assert read(tmp_path, text).root == root


def test_a_host_over_ssh_has_a_login_and_its_name_for_an_address(tmp_path: Path) -> None:
    text = """\
all:
  vars:
    ansible_user: ops
    ansible_ssh_common_args: -o "ProxyJump=gate.example"
  hosts:
    gpu1.example:
      ansible_port: 2222
      ansible_ssh_private_key_file: ~/.ssh/fleet
"""
    assert read(tmp_path, text) == Host(
        name="gpu1.example",
        connection="ssh",
        address="gpu1.example",
        ssh_options=(
            "-o", "User=ops", "-o", "ProxyJump=gate.example", "-o", "Port=2222",
            "-o", "IdentityFile=~/.ssh/fleet",
        ),
    )  # fmt: skip


def test_hosts_of_a_fleet_know_each_other(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(
        """\
all:
  hosts:
    here: {ansible_connection: local, toolkit_address: 10.0.0.1}
    gpu1: {ansible_host: 10.0.0.2}
    gpu2: {ansible_host: gpu2.example, toolkit_address: 10.0.0.3, toolkit_relay_port: 9090}
"""
    )
    fleet = load_fleet(path)
    assert [(host.name, host.relay_bind, host.peers) for host in fleet.hosts] == [
        ("here", "10.0.0.1:8090", ("10.0.0.2", "10.0.0.3")),
        ("gpu1", "10.0.0.2:8090", ("10.0.0.1", "10.0.0.3")),
        ("gpu2", "10.0.0.3:9090", ("10.0.0.1", "10.0.0.2")),
    ]
    assert [host.name for host in fleet.select(["gpu2", "here"])] == ["here", "gpu2"]
    assert fleet.select([]) == fleet.hosts
    with pytest.raises(InputError) as caught:
        fleet.select(["gpu3"])
    assert caught.value.message == "the fleet has no host 'gpu3'"
    assert caught.value.hint == "did you mean gpu2?"


@pytest.mark.parametrize("order", list(itertools.permutations(("a", "b", "c"))), ids="".join)
def test_hosts_are_set_up_alike_in_whatever_order_the_inventory_has_them(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    rows = {
        name: f"    {name}: {{ansible_host: 10.0.0.{len(name)}{ord(name)}}}\n" for name in "abc"
    }
    path = tmp_path / "fleet.yaml"
    path.write_text("all:\n  hosts:\n" + "".join(rows[name] for name in order))
    (found,) = (each for each in load_fleet(path).hosts if each.name == "b")
    assert found.peers == ("10.0.0.197", "10.0.0.199")
    assert found.relays == ("10.0.0.197:8090", "10.0.0.198:8090", "10.0.0.199:8090")


LOCAL = "ansible_connection: local"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": not an Ansible inventory"),
        ("- a\n", ": not an Ansible inventory"),
        ("hello", ": not an Ansible inventory"),
        ("all:\n", ": no hosts in it"),
        ("all: {hosts: }", ": no hosts in it"),
        ("all: {hosts: {}, children: {a: {hosts: {}}}}", ": no hosts in it"),
        ("all: [a]", ":1:6: the group all must be a mapping, name: ..."),
        ("all: text", ":1:6: the group all must be a mapping, name: ..."),
        ("all:\n  hosts: [a, b]\n", ":2:10: hosts of all must be a mapping, name: ..."),
        ("all:\n  hosts: box\n", ":2:10: hosts of all must be a mapping, name: ..."),
        ("all:\n  hosts:\n    box: local\n", ":3:10: box must be a mapping, name: ..."),
        ("all:\n  hosts:\n    box: [local]\n", ":3:10: box must be a mapping, name: ..."),
        ("all:\n  vars: [a]\n", ":2:9: vars of all must be a mapping, name: ..."),
        ("all:\n  children: [a]\n", ":2:13: groups must be a mapping, name: ..."),
        ("all:\n  children:\n    a: 3\n", ":3:8: the group a must be a mapping, name: ..."),
        ("localhost:\n  ansible_connection: local\n",
         ":2:3: the group localhost has 'ansible_connection'"),
        ("all:\n  host: {box: }\n", ":2:3: the group all has 'host'"),
        ("all:\n  hosts:\n    'a b': {}\n", ":3:5: 'a b' is no host's name"),
        (f"all: {{vars: {{{LOCAL}}}, hosts: {{a: , b: }}}}",
         ": a and b have the same address, this machine"),
        ("all: {hosts: {a: {ansible_host: 10.0.0.1}, b: {ansible_host: 10.0.0.1}}}",
         ": a and b have the same address, 10.0.0.1"),
        ("all: {hosts: {a: {ansible_host: gpu1.example}, b: {ansible_host: 10.0.0.1}}}",
         f": a {NO_ADDRESS}"),
        ("all: {hosts: {a: {ansible_connection: local}, b: {ansible_host: 10.0.0.1}}}",
         f": a {NO_ADDRESS}"),
        ("all: {hosts: {a: {ansible_host: x, toolkit_address: 10.0.0.1}, b: {ansible_host: 10.0.0.1}}}",
         ": a and b have the same toolkit_address, 10.0.0.1"),
        ("all: {hosts: {box: {ansible_connection: docker}}}",
         ":1:41: ansible_connection of box must be local or ssh, not 'docker'"),
        ("all: {hosts: {box: {ansible_ssh_private_key_file: keys/id}}}",
         ":1:51: ansible_ssh_private_key_file of box must be a path of plain characters that begins with / or ~, "
         "not 'keys/id'"),
        ("all: {hosts: {box: {ansible_port: 0}}}",
         ":1:35: ansible_port of box must be a port between 1 and 65000, not 0"),
        ("all: {hosts: {box: {ansible_user: '-oProxyCommand=x'}}}",
         ":1:35: ansible_user of box must be a user's name, not '-oProxyCommand=x'"),
        ("all: {hosts: {box: {ansible_host: '-oProxyCommand=x'}}}",
         ":1:35: ansible_host of box must be an address, not '-oProxyCommand=x'"),
        ("all: {hosts: {box: {ansible_ssh_common_args: 'a \"b'}}}",
         ":1:46: ansible_ssh_common_args of box must be words of an ssh command line, not 'a \"b'"),
        # values
        (f"all: {{hosts: {{box: {{{LOCAL}, toolkit_port_base: '9000'}}}}}}",
         ":1:67: toolkit_port_base of box must be a port between 1024 and 65000, not '9000'"),
        (f"all: {{hosts: {{box: {{{LOCAL}, toolkit_port_base: true}}}}}}",
         ":1:67: toolkit_port_base of box must be a port between 1024 and 65000, not True"),
        (f"all: {{hosts: {{box: {{{LOCAL}, toolkit_port_base: 70000}}}}}}",
         ":1:67: toolkit_port_base of box must be a port between 1024 and 65000, not 70000"),
        (f"all: {{hosts: {{box: {{{LOCAL}, router_bind: 8080}}}}}}",
         ":1:61: router_bind of box must be text, not 8080"),
        (f"all: {{hosts: {{box: {{{LOCAL}, router_bind: localhost}}}}}}",
         ":1:61: router_bind of box must be ADDRESS:PORT, not 'localhost'"),
        (f"all: {{hosts: {{box: {{{LOCAL}, router_bind: '0.0.0.0:99999'}}}}}}",
         ":1:61: router_bind of box must be ADDRESS:PORT, not '0.0.0.0:99999'"),
        (f"all: {{hosts: {{box: {{{LOCAL}, router_bind: \"*:80 ssl\\n\"}}}}}}",
         ":1:61: router_bind of box must be ADDRESS:PORT, not '*:80 ssl\\n'"),
        (f"all: {{hosts: {{box: {{{LOCAL}, toolkit_root: relative}}}}}}",
         ":1:62: toolkit_root of box must be an absolute path of plain characters, not 'relative'"),
        (f"all: {{hosts: {{box: {{{LOCAL}, toolkit_root: /}}}}}}",
         ":1:62: toolkit_root of box must be an absolute path of plain characters, not '/'"),
        (f"all: {{hosts: {{box: {{{LOCAL}, toolkit_root: /a/../etc}}}}}}",
         ":1:62: toolkit_root of box must be an absolute path of plain characters, not '/a/../etc'"),
        (f"all: {{hosts: {{box: {{{LOCAL}, toolkit_root: /{'a' * 75}}}}}}}",
         ":1:62: toolkit_root of box must have at most 75 characters, not 76: sockets lie under it"),
        (f"all: {{hosts: {{box: {{{LOCAL}, toolkit_user: 'Root User'}}}}}}",
         ":1:62: toolkit_user of box must be the name of an unprivileged user, not 'Root User'"),
        (f"all: {{hosts: {{box: {{{LOCAL}, ansible_host: }}}}}}",
         ":1:48: ansible_host of box must be text, not None"),
        (f"all: {{hosts: {{box: {{{LOCAL}, ansible_python_interpreter: auto}}}}}}",
         ":1:76: ansible_python_interpreter of box must be an absolute path of plain characters, "
         "not 'auto'"),
        # YAML
        ("all: {hosts: {box: {a: 1, a: 2}}}", ":1:27: 'a' stands here twice"),
        ("[[" * 50, ":1:17: nested deeper than 16 levels"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_fleet(path)
    assert caught.value.message == f"{path}{message}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00", "byte 0 is not UTF-8 text"),
        (b"all: \x00", "control character"),
        (b"#" * 2**21, "is larger than 1 MiB"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_fleet(path)
    assert str(path) in caught.value.message
    assert words in caught.value.message


def test_a_missing_file_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_fleet(tmp_path / "none.yaml")
    assert str(tmp_path / "none.yaml") in caught.value.message
    assert caught.value.hint == "name an inventory with --fleet"


@pytest.mark.parametrize(
    "text",
    [
        "all: {hosts: {'gpu[1:3]': }}",
        "all: {hosts: {box: {toolkit_root: '/srv/{{ x }}'}}}",
        "all: {hosts: {box: {p: !vault abc}}}",
        "a: &x {hosts: {}}\nb: *x\n",
        "all: {hosts: {box: {router_require_keys: yes}}}",
        "plugin: aws_ec2\n",
        "$ANSIBLE_VAULT;1.1;AES256\n32313233\n",
        # the order of groups decides
        "all: {children: {b: {vars: {x: 1}, hosts: {box: }}, a: {vars: {x: 2}, hosts: {box: }}}}",
        "all: {vars: {ansible_group_priority: 2}, hosts: {box: }}",
        "all: {children: {a: {vars: {x: 1}, children: {b: }}, b: {hosts: {box: }}}}",
        "all: {vars: {x: 1}}\ngpus: {hosts: {box: }}\n",
    ],
)
def test_ansible_reads_what_is_more_than_a_plain_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    asked: list[Path] = []

    def ansible(inventory: Path) -> Mapping[str, Mapping[str, Any]]:
        asked.append(inventory)
        return {"box": {"ansible_host": "10.0.0.1"}}

    assert [host.address for host in load_fleet(path, ansible).hosts] == ["10.0.0.1"]
    assert asked == [path]


@pytest.mark.parametrize("beside", ["group_vars", "host_vars"])
def test_ansible_reads_a_plain_file_with_variables_beside_it(tmp_path: Path, beside: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text("all: {hosts: {box: {ansible_connection: local}}}")
    (tmp_path / beside).mkdir()
    found = load_fleet(path, lambda _: {"box": {"router_require_keys": True}})
    assert found.hosts[0].router_require_keys


def test_texts_of_ansible_get_the_types_that_their_variables_need(tmp_path: Path) -> None:
    path = tmp_path / "hosts.ini"
    path.write_text("")
    variables = {
        "router_require_keys": "yes",
        "toolkit_swarm_tls": "False",
        "ansible_port": "2222",
        "toolkit_firewall": "true",
        "toolkit_hang_seconds": "20",
        "ansible_become": "yes",
        "ansible_ssh_user": "ops",
    }
    (host,) = load_fleet(path, lambda _: {"box": variables}).hosts
    assert host.router_require_keys is True
    assert host.swarm_tls is False
    assert host.settings == {"toolkit_firewall": True, "toolkit_hang_seconds": 20}
    assert host.ssh_options == ("-o", "Port=2222", "-o", "User=ops")


@pytest.mark.parametrize("kind", ["ssh", "local"])
def test_a_connection_may_have_its_whole_name(tmp_path: Path, kind: str) -> None:
    read_as = [
        read(tmp_path, f"all: {{hosts: {{box: {{ansible_connection: {name}}}}}}}")
        for name in (kind, f"ansible.builtin.{kind}")
    ]
    assert read_as[0] == read_as[1]


@pytest.mark.parametrize(
    ("variable", "words", "hint"),
    [
        ("ansible_password: x", "ansible_password of box is not supported", "log in with a key"),
        ("ansible_become_method: su",
         "ansible_become_method of box must be sudo or ansible.builtin.sudo, not 'su'",
         "correct ansible_become_method in"),
        ("ansible_become_user: app", "ansible_become_user of box must be root, not 'app'",
         "correct ansible_become_user in"),
        ("ansible_shell_type: fish", "ansible_shell_type of box must be sh, not 'fish'",
         "correct ansible_shell_type in"),
        ("ansible_host_key_checking: false", "ansible_host_key_checking of box is not supported",
         "take it out of the fleet's inventory; supported are ansible_become, "),
        ("toolkit_rot: /srv", "toolkit_rot of box is not supported", "did you mean toolkit_root?"),
        ("toolkit_colour: red", "toolkit_colour of box is not supported",
         "take it out of the fleet's inventory; supported are toolkit_accept_unfenced, "),
        ("router_tls_cert: /srv/tls.pem", "router_tls_cert of box is not supported",
         "did you mean router_tls_certificate?"),
        ("Router_bind: '*:80'", "Router_bind of box is not supported", "did you mean router_bind?"),
        ("router_max_body: 1", "router_max_body of box is not supported",
         "take it out of the fleet's inventory; supported are router_bind, router_cors_origins, router_metrics_bind, "
         "router_require_keys, router_tls_certificate, router_tls_key"),
        ("nvidia_driver: nvidia-driver=580", "nvidia_driver of box is not supported",
         "did you mean nvidia_driver_package?"),
        ("toolkit_user: root", "toolkit_user of box must be the name of an unprivileged user, not 'root'",
         "correct toolkit_user in"),
        ("router_require_key: true", "router_require_key of box is not supported",
         "did you mean router_require_keys?"),
        ("ansible_ssh_port: 0", "ansible_ssh_port of box must be a port between 1 and 65000, not 0",
         "correct ansible_ssh_port in"),
        ("{ansible_ssh_user: a, ansible_user: b}", "box has two values of ansible_user, under two names",
         "take one of the two out of the inventory"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(
    tmp_path: Path, variable: str, words: str, hint: str
) -> None:
    path = tmp_path / "fleet.yaml"
    of_host = variable if variable.startswith("{") else f"{{{variable}}}"
    path.write_text(f"all: {{hosts: {{box: {of_host}}}}}")
    with pytest.raises(InputError, match=r"fleet.yaml:1:\d+: ") as caught:
        load_fleet(path)
    assert caught.value.message.partition(": ")[2] == words
    assert caught.value.hint.startswith(hint)


def test_variables_of_other_playbooks_are_left_alone(tmp_path: Path) -> None:
    text = "all: {hosts: {box: {ansible_connection: local, datacenter: x, router_id: 7, nginx_port: 80}}}"
    assert read(tmp_path, text) == Host("box")
