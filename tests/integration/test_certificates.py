# SPDX-License-Identifier: Apache-2.0
"""The browsers' certificate is configured and read anew on SIGHUP; agents meet the permanent key all the while."""

import hashlib
import signal
import ssl
import subprocess

import pytest

import lab


def make_pair(directory, name, *options):
    key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", certificate, "-days", "30", "-subj", f"/CN={name}", *options], check=True,
                   capture_output=True)
    return certificate, key


def hello(server, name, alpn=("http/1.1",), version=None):
    """What the server shows to who says `name`: (certificate in DER, TLS version, protocol)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version:
        context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(list(alpn))
    with context.wrap_socket(server.connect(), server_hostname=name) as tls:
        return tls.getpeercert(binary_form=True), tls.version(), tls.selected_alpn_protocol()


def der(path):
    return ssl.PEM_cert_to_DER_cert(path.read_text())


def pin(certificate):
    public = subprocess.run(["openssl", "x509", "-inform", "DER", "-pubkey", "-noout"], input=certificate, check=True,
                            capture_output=True).stdout
    spki = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True,
                          capture_output=True).stdout
    return hashlib.sha256(spki).digest()[:16].hex()


@pytest.fixture
def configured():
    with lab.directory() as directory:
        certificate, key = make_pair(directory, "one")
        config = directory / "meshpingd.conf"
        config.write_text(f"certificate_file = {certificate}\nkey_file = {key}\n")
        server = lab.Server(directory, port=lab.free_port()).start("--config", config).sign_in()
        try:
            yield server, directory, certificate, key
        finally:
            server.end()


def test_browsers_meet_the_configured_certificate_and_agents_the_permanent_key(configured):
    server, _, certificate, _ = configured
    own = server.call("GET", "/api/v1/server")["pin"]
    for name in ["localhost", "a", "agents", "agents.meshping.example", "xagents.meshping", "meshping", None]:
        assert hello(server, name)[0] == der(certificate), name
    seen, version, protocol = hello(server, "agents.meshping")
    assert (pin(seen), version, protocol) == (own, "TLSv1.3", "http/1.1")


def test_nothing_below_tls_1_3_and_nothing_but_http_1_1_is_spoken(configured):
    server, *_ = configured
    for name in ["localhost", "agents.meshping"]:
        with pytest.raises(ssl.SSLError):
            hello(server, name, version=ssl.TLSVersion.TLSv1_2)
        assert hello(server, name, alpn=("h2", "http/1.1"))[2] == "http/1.1"
    with pytest.raises(ssl.SSLError):
        hello(server, "agents.meshping", alpn=("h2",))


def test_a_new_certificate_is_read_on_sighup_and_nobody_is_disconnected(configured):
    server, directory, certificate, key = configured
    agent = lab.join(server, lab.Agent(directory, "steady", server.passphrase()))
    old, connected = server.tls(), agent.daemon.text().count("connecting")
    try:
        other, other_key = make_pair(directory, "two")
        certificate.write_text(other.read_text())
        server.daemon.process.send_signal(signal.SIGHUP)  # only half of the new pair is there
        lab.wait_for("the server says no", 5, lambda: "the old certificate stays" in server.daemon.text())
        assert hello(server, "localhost")[0] != der(other)
        key.write_text(other_key.read_text())
        server.daemon.process.send_signal(signal.SIGHUP)
        lab.wait_for("the server says yes", 5, lambda: "the certificate was read anew" in server.daemon.text())
        assert hello(server, "localhost")[0] == der(other)
        old.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert old.recv(64).startswith(b"HTTP/1.1 200")
        assert agent.daemon.text().count("connecting") == connected and server.agents()["steady"]["online"]
    finally:
        old.close()
        agent.end()


@pytest.mark.parametrize("text, word", [("certificate_file = {certificate}", "go together"),
                                        ("certificate_file = {certificate}\nkey_file = {other}", "cannot be used"),
                                        ("certificate_file = /nowhere\nkey_file = {key}", "/nowhere")])
def test_a_pair_that_cannot_be_used_is_told_at_the_start(text, word):
    with lab.directory() as directory:
        certificate, key = make_pair(directory, "one")
        other = make_pair(directory, "two")[1]
        config = directory / "meshpingd.conf"
        config.write_text(text.format(certificate=certificate, key=key, other=other) + "\n")
        done = subprocess.run([lab.BIN / "meshpingd", "--config", config, "--state-dir", directory / "s", "--listen",
                               f"127.0.0.1:{lab.free_port()}"], capture_output=True, text=True, timeout=20)
        assert done.returncode != 0 and word in done.stdout + done.stderr
