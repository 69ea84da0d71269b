# SPDX-License-Identifier: Apache-2.0
"""A small network of namespaces with real daemons in them, for the integration tests (root only).

Every host is a network namespace with one veth into a bridge, which is in a namespace of its own: no packet can leave.
"""

import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

BIN = pathlib.Path(os.environ.get("MESHPING_BIN", "build/release/bin")).resolve()
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*args):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stdout.strip()}")
    return done.stdout


@contextlib.contextmanager
def inside(namespace):
    """Sockets made by this thread within the block belong to the namespace; None: the one we are in."""
    if namespace is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    away = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if _libc.setns(away, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        yield
    finally:
        _libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(away)


def wait_for(what, seconds, probe, every=0.1):
    """Polls until probe() is true and returns that; fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


class Host:
    def __init__(self, network, name, address):
        self.network, self.name, self.address = network, name, address
        self.namespace = f"{network.prefix}{name}"
        self.port = f"{network.prefix}{name}"[-15:]  # the bridge's end

    def set_link(self, up):
        """The host's own interface: what `ip link set` on that machine would do."""
        run("ip", "-n", self.namespace, "link", "set", "eth0", "up" if up else "down")

    def set_carrier(self, up):
        """The switch's port: the host sees its cable pulled."""
        run("ip", "-n", self.network.switch, "link", "set", self.port, "up" if up else "down")


class Network:
    """Hosts on one bridge, 198.18.N.0/24."""

    def __init__(self, prefix="mpt"):
        self.prefix = f"{prefix}{os.getpid() % 10000}"
        self.net = f"198.18.{os.getpid() % 250}"
        self.switch = f"{self.prefix}sw"
        self.hosts = []

    def __enter__(self):
        run("ip", "netns", "add", self.switch)
        run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.switch, "link", "set", "br0", "up")
        return self

    def host(self, name):
        host = Host(self, name, f"{self.net}.{len(self.hosts) + 1}")
        self.hosts.append(host)
        run("ip", "netns", "add", host.namespace)
        run("ip", "link", "add", host.port, "netns", self.switch, "type", "veth", "peer", "name", "eth0", "netns",
            host.namespace)
        run("ip", "-n", self.switch, "link", "set", host.port, "master", "br0", "up")
        run("ip", "-n", host.namespace, "link", "set", "lo", "up")
        run("ip", "-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
        run("ip", "-n", host.namespace, "link", "set", "eth0", "up")
        return host

    def __exit__(self, *_):
        for namespace in [host.namespace for host in self.hosts] + [self.switch]:
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)


class Daemon:
    """A process whose log goes to a file."""

    def __init__(self, namespace, log, *args):
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        self.log = pathlib.Path(log)
        with open(log, "ab") as out:
            self.process = subprocess.Popen(prefix + [str(a) for a in args], stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL)

    def text(self):
        return self.log.read_text(errors="replace")

    def end(self, number=signal.SIGTERM, seconds=10):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class Server:
    """meshpingd with one administrator, and its API."""

    USER, PASSWORD = "anna", "correct horse battery"

    def __init__(self, directory, host=None, address="127.0.0.1", port=8443):
        self.host = host
        self.namespace = host.namespace if host else None
        self.address = host.address if host else address
        self.port = port
        self.directory = pathlib.Path(directory)
        self.state = self.directory / "server"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.daemon = None
        self.cookie = self.csrf = None
        self.mark = 0  # of the log: what came before is not looked at
        password = self.directory / "password"
        password.write_text(self.PASSWORD + "\n")
        run(str(BIN / "meshpingd"), "admin", "create", "--name", self.USER, "--password-file", str(password),
            "--state-dir", str(self.state))

    def start(self, *more, under=()):
        """under: a command that runs it."""
        self.daemon = Daemon(self.namespace, self.directory / "server.log", *under, BIN / "meshpingd", "--state-dir",
                             self.state, "--listen", f"{self.address}:{self.port}", "--advertise",
                             f"{self.address}:{self.port}", *more)
        wait_for("the server is ready", 15, self._is_ready)
        return self

    def _is_ready(self):
        assert self.daemon.process.poll() is None, self.daemon.text()
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def connect(self, timeout=10):
        """A TCP connection to the server, from its own namespace."""
        with inside(self.namespace):
            return socket.create_connection((self.address, self.port), timeout=timeout)

    def tls(self, alpn="http/1.1", name="agents.meshping", timeout=10):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols([alpn])
        return context.wrap_socket(self.connect(timeout), server_hostname=name)

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.address, self.port)
        connection.sock = self.tls(name="localhost")
        headers = dict(headers or {})
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
            headers.setdefault("X-CSRF-Token", self.csrf)
        if body is not None:
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            data = response.read()
            cookie = response.getheader("Set-Cookie")
            if cookie:
                self.cookie = cookie.split(";")[0]
            return response.status, data
        finally:
            connection.close()

    def call(self, method, path, body=None, headers=None):
        status, data = self.request(method, path, body, headers)
        if status >= 400:
            raise Refused(status, data.decode(errors="replace"))
        return json.loads(data) if data else None

    def sign_in(self):
        self.cookie = None
        self.csrf = self.call("POST", "/api/v1/session", {"user": self.USER, "password": self.PASSWORD})["csrf"]
        return self

    def passphrase(self, **body):
        return self.call("POST", "/api/v1/passphrases", body)["passphrase"]

    def agents(self):
        return {agent["host_name"]: agent for agent in self.call("GET", "/api/v1/agents")["agents"]}

    def act(self, name, action):
        return self.call("POST", f"/api/v1/agents/{self.agents()[name]['id']}/{action}", {})

    def set_targets(self, targets):
        return self.call("PUT", "/api/v1/targets", {"targets": targets})

    def targets(self):
        return {t["address"]: t["id"] for t in self.call("GET", "/api/v1/targets")["targets"]}

    STATES = ["no_data", "ok", "slow", "lossy", "fail", "stale", "local_error", "agent_offline", "paused",
              "unassigned"]

    def matrix(self):
        return self.call("GET", "/api/v1/matrix")

    def cells(self):
        """{(agent's host name, target's address): state}"""
        matrix = self.matrix()
        names = {agent["id"]: agent["host_name"] for agent in matrix["agents"]}
        addresses = [target["address"] for target in matrix["targets"]]
        return {(names[agent], addresses[i]): self.STATES[cell[0]]
                for agent, row in matrix["cells"].items() for i, cell in enumerate(row)}

    def series(self, name, address, **query):
        agent, target = self.agents()[name]["id"], self.targets()[address]
        text = "".join(f"&{key}={int(value)}" for key, value in query.items())
        return self.call("GET", f"/api/v1/series?agent={agent}&target={target}{text}")

    def end(self, number=signal.SIGTERM):
        return self.daemon.end(number) if self.daemon else None


class Agent:
    def __init__(self, directory, name, passphrase=None, host=None):
        self.name, self.host = name, host
        self.directory = pathlib.Path(directory) / f"agent-{name}"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.passphrase_file = self.directory / "passphrase"
        if passphrase:
            self.passphrase_file.write_text(passphrase + "\n")
        self.daemon = None

    def start(self, *more):
        self.daemon = Daemon(self.host.namespace if self.host else None, self.directory / "log", BIN / "meshping-agent",
                             "run", "--state-dir", self.directory / "state", "--passphrase-file", self.passphrase_file,
                             "--host-name", self.name, *more)
        return self

    def end(self, number=signal.SIGTERM):
        return self.daemon.end(number) if self.daemon else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def directory():
    path = tempfile.mkdtemp(prefix="meshping-test-")
    try:
        yield pathlib.Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def lone_server():
    """On loopback, signed in; its agents are the test's own clients."""
    with directory() as folder:
        one = Server(folder, port=free_port()).start().sign_in()
        try:
            yield one
        finally:
            assert one.end() == 0, one.daemon.text()


def join(server, agent):
    """Starts the agent, waits until it is pending, approves it."""
    agent.start()
    wait_for(f"{agent.name} is pending", 15,
             lambda: server.agents().get(agent.name, {}).get("state") == "pending" or _still_runs(agent))
    server.act(agent.name, "approve")
    wait_for(f"{agent.name} is approved", 10, lambda: server.agents()[agent.name]["state"] == "approved")
    return agent


def _still_runs(agent):
    assert agent.daemon.process.poll() is None, agent.daemon.text()
    return False
