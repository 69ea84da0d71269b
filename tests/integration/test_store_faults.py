# SPDX-License-Identifier: Apache-2.0
"""The disk fails under a real server with real agents: acks stop, credit goes to 0, the alarm shows, reading goes on; and
after the repair nothing that was measured is missing. Root, for the small file systems."""

import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import pytest

import lab
import meshping

TARGETS = ["127.0.0.1", "127.0.0.2"]
INTERVAL_MS = 500


class Mesh(lab.Server):
    def __init__(self, directory, state_size=None):
        self.mounted = None
        self.live = []
        if state_size:
            state = pathlib.Path(directory) / "server"
            state.mkdir(mode=0o700)
            lab.run("mount", "-t", "tmpfs", "-o", f"size={state_size},mode=0700", "meshping-test", str(state))
            self.mounted = state
        config = pathlib.Path(directory) / "meshpingd.conf"
        config.write_text(f"interval_ms = {INTERVAL_MS}\ntimeout_ms = {INTERVAL_MS}\nmetrics_allow = 127.0.0.0/8\n")
        self.options = ["--config", config]
        super().__init__(directory, port=lab.free_port())

    def begin(self, names=("one", "two")):
        self.start(*self.options).sign_in()
        self.set_targets(TARGETS)
        for name in names:
            self.live.append(lab.join(self, lab.Agent(self.directory, name, self.passphrase())))
        for name in names:
            lab.wait_for(f"samples of {name}", 20, lambda n=name: len(self.slots(n)) > 5)
        return self

    def close(self):
        for agent in self.live:
            agent.end()
        self.end()
        if self.mounted:
            lab.run("umount", str(self.mounted))

    def slots(self, name, target=TARGETS[0]):
        return self.series(name, target)["time_ms"]

    def metric(self, name):
        text = self.request("GET", "/metrics")[1].decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))

    def alarms(self):
        return {alarm["kind"]: alarm["text"] for alarm in self.call("GET", "/api/v1/server")["alarms"]}

    def acked(self):
        return self.metric("meshping_blocks_total")


@pytest.fixture
def full_disk():
    with lab.directory() as directory:
        mesh = Mesh(directory, "3m")
        try:
            yield mesh.begin()
        finally:
            mesh.close()


def assert_nothing_is_missing(mesh, names, since_ms):
    """Every slot from the first shown on, as the agents' buffers are far from full."""
    for name in names:
        for target in TARGETS:
            slots = [slot for slot in mesh.slots(name, target) if slot >= since_ms]
            steps = {b - a for a, b in zip(slots, slots[1:])}
            assert steps == {INTERVAL_MS}, (name, target, steps)


def test_a_full_disk(full_disk):
    mesh, names = full_disk, ["one", "two"]
    since_ms = max(mesh.slots(name)[0] for name in names) + 2 * INTERVAL_MS  # the second agent joined later
    assert mesh.request("GET", "/readyz")[0] == 200 and mesh.alarms() == {}
    assert mesh.metric('meshping_alarm{kind="store"}') == 0
    filler = mesh.state / "somebody-elses"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    lab.wait_for("the alarm", 40, lambda: "store" in mesh.alarms())
    assert "no space left" in mesh.alarms()["store"]
    acked, shown = mesh.acked(), {name: mesh.slots(name) for name in names}
    assert all(shown.values())  # reading goes on
    connections = mesh.metric("meshping_connections_refused_total")
    time.sleep(8)
    assert mesh.acked() == acked  # nothing is acked that is not stored
    assert {name: mesh.slots(name) for name in names} == shown
    assert mesh.metric("meshping_connections_refused_total") == connections  # and the agents stay where they are
    assert all(agent["online"] for agent in mesh.agents().values())
    assert mesh.metric('meshping_alarm{kind="store"}') == 1
    assert mesh.metric("meshping_store_commit_errors_total") >= 1
    status, body = mesh.request("GET", "/readyz")
    assert status == 503 and b"cannot be stored" in body
    assert mesh.request("GET", "/healthz")[0] == 200
    assert [alarm["kind"] for alarm in mesh.call("GET", "/api/v1/matrix")["alarms"]] == ["store"]
    assert "cannot be stored" in mesh.daemon.text()
    for agent in mesh.live:
        assert "the server cannot store samples now" in agent.daemon.text(), agent.daemon.text()
    filler.unlink()
    lab.wait_for("it mends by itself", 20, lambda: mesh.alarms() == {})
    assert mesh.request("GET", "/readyz")[0] == 200
    until_ms = int(time.time() * 1000)
    for name in names:
        lab.wait_for(f"{name} is up to date", 30, lambda n=name: mesh.slots(n)[-1] > until_ms)
    assert_nothing_is_missing(mesh, names, since_ms)
    assert mesh.daemon.text().count("samples cannot be stored") <= 4  # a line a minute, and the one that it is over
    mesh.end()
    done = subprocess.run([lab.BIN / "meshpingd", "maintain", "check", "--state-dir", mesh.state], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout
    mesh.start(*mesh.options)


def test_a_server_that_is_restarted_on_a_full_disk(full_disk):
    """It serves what it has, or says in a line why not; once there is room, all goes on."""
    mesh = full_disk
    since_ms = max(mesh.slots(name)[0] for name in ("one", "two")) + 2 * INTERVAL_MS
    filler = mesh.state / "somebody-elses"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    lab.wait_for("the alarm", 40, lambda: "store" in mesh.alarms())
    mesh.end(signal.SIGKILL)
    try:
        mesh.start(*mesh.options)
    except AssertionError:
        assert "space" in mesh.daemon.text() or "disk" in mesh.daemon.text(), mesh.daemon.text()
        filler.unlink()
        mesh.start(*mesh.options)
    if filler.exists():
        filler.unlink()
    until_ms = int(time.time() * 1000)
    for name in ("one", "two"):
        lab.wait_for(f"{name} is up to date", 60, lambda n=name: (mesh.slots(n) or [0])[-1] > until_ms)
    assert_nothing_is_missing(mesh, ["one", "two"], since_ms)


def damage(path, table):
    """Overwrites the page that is the root of a table's tree, as a bad sector would."""
    database = sqlite3.connect(path)
    page_size = database.execute("PRAGMA page_size").fetchone()[0]
    root = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0]
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with open(path, "r+b") as file:
        file.seek((root - 1) * page_size)
        page = file.read(page_size)
        file.seek((root - 1) * page_size)
        file.write(b"\xa5" * 100)
    return lambda: write_at(path, (root - 1) * page_size, page)


def write_at(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def assert_all_is_well_again(mesh, since_ms):
    mesh.start(*mesh.options)
    assert mesh.alarms() == {}
    until_ms = int(time.time() * 1000)
    lab.wait_for("it is up to date", 60, lambda: mesh.slots("one")[-1] > until_ms)
    assert_nothing_is_missing(mesh, ["one"], since_ms)


def test_a_damaged_page():
    """The received ranges are unreadable: what was shown stays shown as far as it can, nothing is acked, and the page's
    return brings all back."""
    with lab.directory() as directory:
        mesh = Mesh(directory)
        try:
            mesh.begin(["one"])
            since_ms = mesh.slots("one")[1]
            mesh.end()
            repair = damage(mesh.state / "meshping.db", "epochs")
            mesh.start(*mesh.options)
            lab.wait_for("the alarm", 40, lambda: "damage" in mesh.alarms())
            assert "restore a backup" in mesh.alarms()["damage"]
            assert mesh.metric('meshping_alarm{kind="damage"}') == 1
            assert mesh.acked() == 0
            shown = mesh.slots("one")
            assert shown  # reading goes on
            time.sleep(6)
            assert mesh.acked() == 0 and mesh.slots("one") == shown
            mesh.end()
            done = subprocess.run([lab.BIN / "meshpingd", "maintain", "check", "--state-dir", mesh.state],
                                  capture_output=True, text=True)
            assert done.returncode == 3 and "epochs" in done.stdout, done.stdout
            repair()
            assert_all_is_well_again(mesh, since_ms)
        finally:
            mesh.close()


@pytest.mark.parametrize("tree", ["blocks", "blocks_by_agent", "sealed_short"])
def test_a_damaged_page_of_samples_does_not_keep_the_server_from_starting(tree):
    with lab.directory() as directory:
        mesh = Mesh(directory)
        try:
            mesh.begin(["one"])
            since_ms = mesh.slots("one")[1]
            mesh.end()
            repair = damage(mesh.state / "meshping.db", tree)
            mesh.start(*mesh.options)
            lab.wait_for("the alarm", 40, lambda: "damage" in mesh.alarms())
            assert "restore a backup" in mesh.alarms()["damage"]
            agent = next(iter(mesh.agents().values()))
            assert agent["host_name"] and mesh.call("GET", "/api/v1/matrix")["alarms"]
            if tree != "sealed_short":  # of what is joined: new blocks do not need it
                lab.wait_for("it is online", 40, lambda: next(iter(mesh.agents().values()))["online"])
                assert mesh.acked() == 0
            mesh.end()
            repair()
            assert_all_is_well_again(mesh, since_ms)
        finally:
            mesh.close()


def test_a_damaged_page_of_pauses_costs_their_explanations_only():
    with lab.directory() as directory:
        mesh = Mesh(directory)
        try:
            mesh.begin(["one"])
            since_ms = mesh.slots("one")[1]
            mesh.end()
            time.sleep(1.5)  # so that there is something to note
            mesh.start(*mesh.options)
            mesh.end()
            repair = damage(mesh.state / "meshping.db", "pauses")
            mesh.start(*mesh.options)
            assert "restore a backup" in mesh.alarms()["damage"]
            until_ms = int(time.time() * 1000)
            lab.wait_for("it is up to date", 60, lambda: mesh.slots("one")[-1] > until_ms)
            now_ms = int(time.time() * 1000)
            for hours in (1, 24):  # from memory and the disk, and from the disk
                series = mesh.series("one", TARGETS[0], from_ms=now_ms - hours * 3600000, to_ms=now_ms)
                assert series["damaged"] == [] and series["time_ms"]
            assert_nothing_is_missing(mesh, ["one"], since_ms)
            mesh.end()
            repair()
            assert_all_is_well_again(mesh, since_ms)
        finally:
            mesh.close()


def test_when_an_agent_was_seen_is_written_once_there_is_room(full_disk):
    mesh = full_disk
    filler = mesh.state / "somebody-elses"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    lab.wait_for("the alarm", 40, lambda: "store" in mesh.alarms())
    mesh.live.pop().end()
    lab.wait_for("it is offline", 30, lambda: not mesh.agents()["two"]["online"])
    seen_ms = mesh.agents()["two"]["last_seen_ms"]
    time.sleep(3)  # it was tried meanwhile
    filler.unlink()
    lab.wait_for("it mends by itself", 20, lambda: mesh.alarms() == {})
    time.sleep(3)
    mesh.end(signal.SIGKILL)
    mesh.start(*mesh.options)
    assert mesh.agents()["two"]["last_seen_ms"] == seen_ms


def test_a_file_that_may_not_be_written():
    with lab.directory() as directory:
        mesh = Mesh(directory, "8m")
        try:
            mesh.begin(["one"])
            since_ms = mesh.slots("one")[1]
            mesh.end()
            lab.run("mount", "-o", "remount,ro", str(mesh.state))
            done = subprocess.run([lab.BIN / "meshpingd", "--state-dir", mesh.state, "--listen", "127.0.0.1:0"],
                                  capture_output=True, text=True, timeout=30)
            assert done.returncode == 1 and "Read-only file system" in done.stderr, done.stderr
            lab.run("mount", "-o", "remount,rw", str(mesh.state))
            mesh.start(*mesh.options)
            until_ms = int(time.time() * 1000)
            lab.wait_for("it is up to date", 60, lambda: mesh.slots("one")[-1] > until_ms)
            assert_nothing_is_missing(mesh, ["one"], since_ms)
        finally:
            mesh.close()


def test_a_stopped_servers_database_is_read_where_nothing_can_be_written():
    """One that ended in order left one file; what SQLite wants beside it cannot be made."""
    def maintain(*args):
        done = subprocess.run([lab.BIN / "meshpingd", "maintain", *args, "--quiet", "--state-dir", mesh.state],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with lab.directory() as directory:
        mesh = Mesh(directory, "3m")
        try:
            mesh.begin(["one"])
            mesh.live.pop().end()
            mesh.end()
            assert not (mesh.state / "meshping.db-wal").exists()
            lab.run("mount", "-o", "remount,ro", str(mesh.state))
            rows = maintain("export")
            assert len(rows.splitlines()) > 5
            maintain("check")
            maintain("backup", "--to", directory / "read-only")
            with meshping.Store(mesh.state / "meshping.db") as store:
                assert [agent["host_name"] for agent in store.agents()] == ["one"]
            lab.run("mount", "-o", "remount,rw", str(mesh.state))
            with open(mesh.state / "somebody-elses", "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\0" * 4096)
                except OSError:
                    pass
            maintain("check")
            maintain("backup", "--to", directory / "full")
            assert maintain("export") == rows
            (mesh.state / "somebody-elses").unlink()
            mesh.start(*mesh.options)
        finally:
            mesh.close()


def test_two_servers_and_a_newer_schema():
    with lab.directory() as directory:
        mesh = Mesh(directory)
        try:
            mesh.begin(["one"])
            second = [lab.BIN / "meshpingd", "--state-dir", mesh.state, "--listen", "127.0.0.1:0"]
            done = subprocess.run(second, capture_output=True, text=True, timeout=30)
            assert done.returncode == 1 and f"process {mesh.daemon.process.pid}" in done.stderr, done.stderr
            assert mesh.request("GET", "/readyz")[0] == 200
            mesh.end()
            database = sqlite3.connect(mesh.state / "meshping.db")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute("PRAGMA user_version = 1000")
            database.close()
            done = subprocess.run(second, capture_output=True, text=True, timeout=30)
            assert done.returncode == 1 and "1000" in done.stderr and "newer meshpingd" in done.stderr, done.stderr
            database = sqlite3.connect(mesh.state / "meshping.db")
            assert database.execute("PRAGMA user_version").fetchone()[0] == 1000
            database.execute(f"PRAGMA user_version = {version}")
            database.close()
            mesh.start(*mesh.options)
        finally:
            mesh.close()
