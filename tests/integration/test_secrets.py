# SPDX-License-Identifier: Apache-2.0
"""No secret in a log line, in a process's arguments or memory that others may read, or in a file that others may read."""

import os
import signal
import socket
import stat
import subprocess
import time

import pytest

import lab
from wire import read_passphrase


@pytest.fixture(scope="module")
def mesh():
    with socket.socket() as free, lab.directory() as directory:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        old = os.umask(0)  # whatever the parent allows, they must not
        try:
            server = lab.Server(directory, port=port).start("--log-level", "debug").sign_in()
            server.set_targets(["127.0.0.1"])
            passphrase = server.passphrase()
            agent = lab.Agent(directory, "secretive", passphrase)
            agent.passphrase_file.chmod(0o600)
            agent.start("--log-level", "debug")
            lab.wait_for("it is pending", 20, lambda: "secretive" in server.agents())
            server.act("secretive", "approve")
            lab.wait_for("it reports", 30, lambda: server.cells().get(("secretive", "127.0.0.1")) == "ok")
            yield server, agent, passphrase
        finally:
            os.umask(old)
            agent.end()
            server.end()


def files(directory):
    return [path for path in directory.rglob("*") if path.is_file()]


def test_nobody_else_reads_the_state(mesh):
    server, agent, _ = mesh
    for state in (server.state, agent.directory / "state"):
        assert stat.S_IMODE(state.stat().st_mode) == 0o700, state
        for path in files(state):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode & 0o077 == 0 or path.name == "server.crt", f"{path}: {mode:o}"


def test_no_log_line_holds_a_secret(mesh):
    server, agent, passphrase = mesh
    key = read_passphrase(passphrase)[0]
    keys = {path: path.read_bytes() for state in (server.state, agent.directory / "state") for path in files(state)
            if path.name.endswith(".key")}
    assert len(keys) >= 3
    for log in (server.daemon.log, agent.daemon.log):
        text = log.read_text()
        assert passphrase not in text and passphrase.replace("-", "") not in text
        assert key.hex() not in text.lower() and server.PASSWORD not in text
        assert server.csrf not in text and server.cookie.split("=", 1)[1] not in text
        for path, content in keys.items():
            body = b"".join(content.splitlines()[1:-1]) if content.startswith(b"-----") else content
            assert body.decode(errors="replace") not in text and body.hex() not in text.lower(), path


def test_no_argument_and_no_environment_holds_a_secret(mesh):
    server, agent, passphrase = mesh
    for daemon in (server.daemon, agent.daemon):
        for name in ("cmdline", "environ"):
            text = open(f"/proc/{daemon.process.pid}/{name}", "rb").read().decode(errors="replace")
            assert passphrase not in text and server.PASSWORD not in text


def test_a_crash_leaves_no_core_file(mesh):
    """Not dumpable: the kernel writes no core, and another process of the same user may not look in."""
    server, agent, _ = mesh
    for daemon in (server.daemon, agent.daemon):
        assert os.stat(f"/proc/{daemon.process.pid}/mem").st_uid == 0
    with lab.directory() as directory:
        for binary, more in (("meshpingd", ["--listen", "127.0.0.1:0", "--state-dir", directory / "s"]),
                             ("meshping-agent", ["run", "--state-dir", directory / "a", "--passphrase-file",
                                                 agent.passphrase_file])):
            child = subprocess.Popen(["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", lab.BIN / binary, *more],
                                     cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(1.5)
            assert child.poll() is None
            child.send_signal(signal.SIGSEGV)
            _, status = os.waitpid(child.pid, 0)
            assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status), binary
