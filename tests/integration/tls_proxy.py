"""TLS in front of a server, with a certificate that nobody has signed."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.tcp_proxy import TCPProxy


class TLSProxy(TCPProxy):
    """As a `TCPProxy`; visitors speak TLS to it."""

    def __init__(self, port: int, folder: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate = certificate(folder, "127.0.0.1")
        self._context.load_cert_chain(self.certificate)
        super().__init__(port)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/"

    def taken(self, near: socket.socket) -> socket.socket:
        return self._context.wrap_socket(near, server_side=True)


def certificate(folder: Path, name: str, *names: str, address: bool = True) -> Path:
    """A file with a key and a certificate of *name*, *names* and, with *address*, 127.0.0.1, signed by that key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))] if address else []
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names), *addresses]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path
