"""Who may be part of a swarm: an authority made for it alone, which gives every member a key and a certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "toolkit swarm")])
_MEMBER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "member")])
# A host's clock may be off by days, and a swarm may take some.
_BEFORE, _AFTER = timedelta(days=7), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate and its private key, in PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """`certificate` is what members trust, in PEM; its private key exists in this object alone."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _sign(_NAME, self._key, self._key, authority=True)

    def admit(self) -> Credentials:
        """Return what a new member needs."""
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Credentials(_sign(_MEMBER, key, self._key, authority=False), text)


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        # Members are checked against the name of the torrent.
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*")]), critical=False)
    )
    return builder.sign(issuer, hashes.SHA256()).public_bytes(Encoding.PEM)
