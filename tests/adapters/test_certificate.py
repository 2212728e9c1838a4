"""The operator's certificate: one that cannot serve is refused before a host is touched; a renewed one is another."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from toolkit.adapters.ansible.certificate import certificate_digest
from toolkit.adapters.ansible.converge import host_variables
from toolkit.adapters.ansible.playbooks import provision_digest
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import InputError


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], capture_output=True, check=True)


def make(directory: Path, name: str) -> Host:
    """Return a host with a throw-away certificate of its own."""
    made, key = directory / f"{name}.pem", directory / f"{name}.key"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", f"/CN={name}", "-out", str(made), "-keyout", str(key))  # fmt: skip
    return Host("alpha", router_tls_certificate=str(made), router_tls_key=str(key))


def test_a_host_without_one_has_no_digest() -> None:
    assert certificate_digest(Host("alpha")) == ""


def test_a_renewed_certificate_is_converged_under_the_same_path(tmp_path: Path) -> None:
    host = make(tmp_path, "door")
    former = certificate_digest(host), provision_digest(host)
    assert (certificate_digest(host), provision_digest(host)) == former
    assert host_variables(host, tmp_path)["router_tls_digest"] == former[0]
    make(tmp_path, "door")
    assert certificate_digest(host) != former[0]
    assert provision_digest(host) != former[1]
    assert provision_digest(Host("alpha")) != provision_digest(host)


def test_the_key_is_in_no_variable(tmp_path: Path) -> None:
    host = make(tmp_path, "door")
    body = Path(host.router_tls_key).read_text().splitlines()[1]
    assert body not in str(host_variables(host, tmp_path))


def test_what_cannot_serve_is_named(tmp_path: Path) -> None:
    one, other = make(tmp_path, "one"), make(tmp_path, "other")
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", one.router_tls_key, "-aes256", "-passout", "pass:x", "-out", str(locked))
    text = tmp_path / "text"
    text.write_text("no PEM")
    pairs = {
        (one.router_tls_certificate, str(tmp_path / "none")): "none cannot be read: No such file",
        (str(tmp_path), one.router_tls_key): "cannot be read: Is a directory",
        (one.router_tls_certificate, other.router_tls_key): "are not a certificate and its key",
        (one.router_tls_certificate, str(locked)): "are not a certificate and its key",
        (str(text), one.router_tls_key): "are not a certificate and its key",
    }
    for (made, key), words in pairs.items():
        with pytest.raises(InputError, match=words) as caught:
            certificate_digest(Host("alpha", router_tls_certificate=made, router_tls_key=key))
        assert caught.value.message.startswith("alpha: ")
        assert caught.value.hint
