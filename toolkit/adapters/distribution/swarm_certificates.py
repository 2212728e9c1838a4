"""A certificate authority for one swarm, which gives every member a key and a certificate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "toolkit swarm")])
_MEMBER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "member")])
# The clock of a host may be off by days, and a swarm may take days.
_BEFORE, _AFTER = timedelta(days=7), timedelta(days=30)


class Authority:
    """`certificate` (PEM) is the one that members trust. Its private key exists in this object alone."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _sign(_NAME, self._key, self._key, authority=True)

    def admit(self) -> tuple[bytes, bytes]:
        """Return the certificate and the private key of a new member, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return _sign(_MEMBER, key, self._key, authority=False), text


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
        # libtorrent compares this name with the name of the torrent.
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*")]), critical=False)
    )
    return builder.sign(issuer, hashes.SHA256()).public_bytes(Encoding.PEM)
