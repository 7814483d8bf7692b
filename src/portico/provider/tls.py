"""How a provider checks the certificate of the hub that it dials.

As browsers do, by the certificates that the system trusts; but a Jupyter server tells its own kernels which certificate
it has, and often nobody has signed that one, or it does not name the address that kernels dial. Then that very
certificate is looked for, and no other will do. It says nothing about any other host.
"""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portico.provider.discovery import HubAddress


def fingerprint(pem: str) -> str:
    """SHA-256 (hex) of the first certificate in *pem*, which may hold keys and others. Raises `ValueError`."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start = pem.index(begin)
    stop = pem.index(end, start) + len(end)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[start:stop])).hexdigest()


def context_of(address: HubAddress) -> ssl.SSLContext | None:
    """What `ssl` is to check when *address* is dialled; None for its default."""
    if not address.url.startswith("https:"):
        return None
    if address.certificate:
        return pinned(address.certificate)
    return unchecked() if address.insecure else None


def unchecked() -> ssl.SSLContext:
    """Takes any certificate (``--disable-ssl``)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def pinned(certificate: str) -> ssl.SSLContext:
    """Takes the one certificate whose SHA-256 (hex) is *certificate*, whoever signed it and until whenever it lasts.

    It is checked in the handshake, before a byte of a request goes out; another raises `ssl.SSLCertVerificationError`.
    """
    context = unchecked()

    def check(peer: Any) -> None:
        shown = peer.getpeercert(binary_form=True) or b""
        if hashlib.sha256(shown).hexdigest() != certificate.lower():
            raise ssl.SSLCertVerificationError(
                "the server's certificate is not the one that it had when it started this kernel. If its certificate "
                "was renewed, restart the kernel"
            )

    class Socket(ssl.SSLSocket):
        """For `http.client`."""

        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            check(self)

    class Object(ssl.SSLObject):
        """For event loops."""

        def do_handshake(self) -> None:
            super().do_handshake()
            check(self)

    context.sslsocket_class, context.sslobject_class = Socket, Object
    return context
