# SPDX-License-Identifier: Apache-2.0
"""A small SMTP server on loopback."""

import datetime
import email
import ipaddress
import socket
import ssl
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Box:
    """What the SMTP server took."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), email.message_from_bytes(envelope.content)))
        return "250 OK"

    def wait(self, count, seconds=10):
        deadline = time.monotonic() + seconds
        while len(self.mails) < count:
            assert time.monotonic() < deadline, f"{len(self.mails)} of {count} e-mails"
            time.sleep(0.05)


def certificate(directory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.utcnow()
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, hashes.SHA256()))
    (directory / "smtp.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "smtp.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "smtp.pem", directory / "smtp.key")
    return context


def start(directory, tls=False):
    """(box, url, stop). With TLS it wants the user "mesh" with "secret of smtp"; its certificate is smtp.pem."""
    context = certificate(directory)

    class Checked(Controller):
        def factory(self):
            made = super().factory()
            made._authenticator = lambda _s, _se, _e, _m, data: AuthResult(  # noqa: SLF001
                success=(data.login, data.password) == (b"mesh", b"secret of smtp"))
            made._auth_required = tls  # noqa: SLF001
            made._auth_require_tls = False  # noqa: SLF001
            return made

    box = Box()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    smtp = Checked(box, hostname="127.0.0.1", port=port, **({"ssl_context": context} if tls else {}))
    smtp.start()
    return box, f"{'smtps' if tls else 'smtp'}://127.0.0.1:{port}", smtp.stop
