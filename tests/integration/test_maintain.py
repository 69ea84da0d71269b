# SPDX-License-Identifier: Apache-2.0
"""meshpingd maintain beside a running server with a real agent, and on what a stopped one left."""

import csv
import hashlib
import io
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

import lab

TARGETS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


def maintain(state, *args, code=0):
    done = subprocess.run([lab.BIN / "meshpingd", "maintain", *map(str, args), "--state-dir", state],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (args, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


@pytest.fixture(scope="module")
def mesh():
    """One for all tests: each leaves it running."""
    with lab.directory() as directory:
        config = directory / "meshpingd.conf"
        config.write_text("interval_ms = 500\ntimeout_ms = 500\n")
        server = lab.Server(directory, port=lab.free_port())
        server.options = ["--config", config]
        server.start(*server.options).sign_in()
        server.set_targets([*TARGETS[:2], f"{TARGETS[2]} =1;=2"])
        agent = lab.join(server, lab.Agent(directory, "one", server.passphrase()))
        server.agent = agent
        lab.wait_for("samples are shown", 20, lambda: len(server.series("one", TARGETS[0])["time_ms"]) >= 6)
        yield server
        agent.end()
        server.end()


def exported(state, *args):
    rows = list(csv.DictReader(io.StringIO(maintain(state, "export", *args).stdout)))
    slots = [(row["target"], row["time"]) for row in rows]
    assert len(slots) == len(set(slots))
    return rows


def test_check_and_export_beside_a_running_server(mesh, tmp_path):
    assert "sound" in maintain(mesh.state, "check").stdout
    assert maintain(mesh.state, "check", "--quiet", "--quick").stdout == ""
    shown = mesh.series("one", TARGETS[1])
    rows = exported(mesh.state, "--target", TARGETS[1], "--agent", "one")
    assert {row["target"] for row in rows} == {TARGETS[1]} and {row["agent"] for row in rows} == {"one"}
    told = {row["time"][:23]: row for row in rows}
    for time_ms, rtt_us, outcome in zip(shown["time_ms"], shown["rtt_us"], shown["outcome"]):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ms // 1000)) + f".{time_ms % 1000:03}"
        assert told[stamp]["outcome"] == outcome
        assert told[stamp]["rtt_us"] == ("" if rtt_us is None else str(rtt_us))
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row["time"]) for row in rows)
    # no cell is a formula to a spreadsheet, whichever sign it splits lines at
    assert {row["name"] for row in exported(mesh.state, "--target", TARGETS[2])} == {"'=1;'=2"}
    # by the name that it has on the page
    path = f"/api/v1/agents/{mesh.agents()['one']['id']}"
    mesh.call("PATCH", path, {"name": "Frankfurt"})
    assert {row["agent"] for row in exported(mesh.state, "--agent", "Frankfurt")} == {"one"}
    mesh.call("PATCH", path, {"name": ""})
    # the same as JSON lines, into a file, between two times
    output = tmp_path / "samples.json"
    cut = sorted(row["time"] for row in rows)[2]
    maintain(mesh.state, "export", "--format", "json", "--until", cut, "--output", output)
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert lines and all(line["time"] < cut for line in lines) and {line["target"] for line in lines} == set(TARGETS)
    assert {line["time"] for line in lines if line["target"] == TARGETS[1]} == {row["time"] for row in rows
                                                                             if row["time"] < cut}
    assert os.stat(output).st_mode & 0o777 == 0o600
    assert "File exists" in maintain(mesh.state, "export", "--output", output, code=1).stderr
    assert "no agent \"nobody\"" in maintain(mesh.state, "export", "--agent", "nobody", code=1).stderr
    assert "target \"192.0.2.9\"" in maintain(mesh.state, "export", "--target", "192.0.2.9", code=1).stderr
    assert exported(mesh.state, "--from", "-1s", "--until", "-1s") == []


def test_what_needs_a_stopped_server_says_so(mesh, tmp_path):
    pid = str(mesh.daemon.process.pid)
    assert pid in maintain(mesh.state, "vacuum", code=1).stderr
    backup = tmp_path / "backup"
    maintain(mesh.state, "backup", "--to", backup)
    assert pid in maintain(mesh.state, "restore", "--from", backup, code=1).stderr
    assert mesh.request("GET", "/readyz")[0] == 200
    mesh.end()
    before = len(exported(mesh.state))
    assert "MB" in maintain(mesh.state, "vacuum").stdout
    assert len(exported(mesh.state)) == before
    maintain(mesh.state, "check")
    mesh.start(*mesh.options)


def test_a_backup_taken_while_samples_come_in_brings_the_server_back(mesh, tmp_path):
    backup = tmp_path / "backup"
    server_id = mesh.call("GET", "/api/v1/server")["server_id"]
    maintain(mesh.state, "backup", "--to", backup)
    assert backup.stat().st_mode & 0o777 == 0o700
    names = {path.name for path in backup.iterdir()}
    keys = {path.name for path in mesh.state.iterdir() if path.suffix in (".key", ".crt")}
    assert len(keys) >= 3 and names >= keys | {"meshping.db", "SHA256SUMS"}
    assert not any(name.startswith("meshping.db-") for name in names), names
    for path in backup.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
        if path.name in keys:
            assert path.read_bytes() == (mesh.state / path.name).read_bytes()
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=backup, check=True)
    maintain(mesh.state, "backup", "--to", backup, code=1)  # replaces nothing
    then = {(row["target"], row["time"]) for row in exported(backup)}
    assert then
    mesh.set_targets(TARGETS[:1])
    before = len(exported(mesh.state))
    lab.wait_for("more samples", 20, lambda: len(exported(mesh.state)) > before)
    mesh.agent.end()
    mesh.end()
    later = {(row["target"], row["time"]) for row in exported(mesh.state)}
    assert later > then
    for path in mesh.state.glob("*.key"):  # a machine that lost its disk
        path.unlink()
    revoked = "1700000000000 revoke 0011223344556677\n"  # after the backup
    with open(mesh.state / "revocations", "a") as file:
        file.write(revoked)
    done = maintain(mesh.state, "restore", "--from", backup)
    aside = max(mesh.state.glob("before-restore-*"))
    assert str(aside) in done.stdout
    assert {(row["target"], row["time"]) for row in exported(aside)} == later
    assert (mesh.state / "revocations").read_text().endswith(revoked)
    assert (mesh.state / "revocations").stat().st_mode & 0o777 == 0o600
    assert {(row["target"], row["time"]) for row in exported(mesh.state)} == then
    mesh.start(*mesh.options).sign_in()
    mesh.agent.start()
    assert mesh.call("GET", "/api/v1/server")["server_id"] == server_id
    assert set(mesh.targets()) == set(TARGETS)
    lab.wait_for("the agent goes on by itself", 40, lambda: len(exported(mesh.state, "--from", "-3s")) > 0)
    maintain(mesh.state, "check")


def test_a_restore_that_was_cut_short_keeps_the_server_from_starting(mesh, tmp_path):
    backup = tmp_path / "backup"
    maintain(mesh.state, "backup", "--to", backup)
    mesh.end()
    (mesh.state / "restore-pending").touch()
    os.rename(mesh.state / "meshping.db", tmp_path / "half-way.db")
    done = subprocess.run([lab.BIN / "meshpingd", "--state-dir", mesh.state, "--listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "restore" in done.stderr, done
    assert not (mesh.state / "meshping.db").exists()
    maintain(mesh.state, "restore", "--from", backup)
    mesh.start(*mesh.options)


def test_a_damaged_backup_is_not_restored(mesh, tmp_path):
    backup = tmp_path / "backup"
    maintain(mesh.state, "backup", "--to", backup)
    mesh.end()
    before = hashlib.sha256((mesh.state / "meshping.db").read_bytes()).digest()
    with open(backup / "meshping.db", "r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 64)
    assert "SHA-256" in maintain(mesh.state, "restore", "--from", backup, code=1).stderr
    assert "is no backup" in maintain(mesh.state, "restore", "--from", tmp_path, code=1).stderr
    assert hashlib.sha256((mesh.state / "meshping.db").read_bytes()).digest() == before
    assert not list(mesh.state.glob(".restore-*")) and not (mesh.state / "restore-pending").exists()
    mesh.start(*mesh.options)


def test_damage_is_named_and_the_rest_is_exported(mesh, tmp_path):
    mesh.end()
    state = shutil.copytree(mesh.state, tmp_path / "state", ignore=shutil.ignore_patterns("before-restore-*"))
    mesh.start(*mesh.options)
    whole = exported(state)
    file, database = state / "meshping.db", sqlite3.connect(state / "meshping.db")
    block, count = database.execute("SELECT id, sample_count FROM blocks ORDER BY id DESC LIMIT 1").fetchone()
    database.execute("UPDATE blocks SET bytes = zeroblob(length(bytes)) WHERE id = ?", (block,))
    database.execute("UPDATE epochs SET ranges = x'01'")
    database.commit()
    database.close()
    told = maintain(state, "check", code=3).stdout
    assert f"block {block} is damaged" in told and "received ranges" in told and "damaged, see above" in told
    done = maintain(state, "export", code=3)
    assert f"block {block} " in done.stderr
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == len(whole) - count
    with open(file, "r+b") as raw:  # the disk's turn
        page_size = int.from_bytes(raw.read(18)[16:], "big")
        for page in range(2, os.path.getsize(file) // page_size):
            raw.seek(page * page_size + 8)
            raw.write(b"\xa5" * 200)
    assert "damaged: " in maintain(state, "check", code=3).stdout
    file.write_bytes(b"no database" * 1000)
    assert "restore a backup" in maintain(state, "check", code=3).stdout
    maintain(state, "backup", "--to", tmp_path / "useless", code=1)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("useless")] == []


@pytest.mark.parametrize("args", [
    [], ["--frobnicate"], ["polish"], ["check", "more"], ["backup"], ["restore"], ["check", "--to", "x"],
    ["backup", "--to", ""], ["restore", "--from", ""],
    ["vacuum", "--from", "x"], ["export", "--from", "yesterday"], ["export", "--from", "2026-01-31T12:00:00"],
    ["export", "--from", "2026-06-31"], ["export", "--until", "2026-06-30T12:00:00+99:00"],
    ["export", "--format", "xml"], ["backup", "--to", "x", "--quick"], ["check", "--agent", "a"]])
def test_usage_errors_are_named(args, tmp_path):
    done = maintain(tmp_path, *args, code=2)
    assert "meshpingd maintain" in done.stderr and done.stdout == ""


def test_a_directory_without_a_database(tmp_path):
    for args in (["check"], ["vacuum"], ["export"], ["backup", "--to", tmp_path / "backup"]):
        done = maintain(tmp_path, *args, code=1)
        assert str(tmp_path) in done.stderr
    assert list(tmp_path.iterdir()) == []  # and none is made


def test_progress_on_a_terminal(mesh, tmp_path):
    outer, inner = pty.openpty()
    done = subprocess.run([lab.BIN / "meshpingd", "maintain", "backup", "--to", tmp_path / "b", "--state-dir",
                           mesh.state], stdout=inner, stderr=inner, stdin=subprocess.DEVNULL, timeout=60)
    os.close(inner)
    text = b""
    while True:
        try:
            more = os.read(outer, 65536)
        except OSError:
            break
        if not more:
            break
        text += more
    os.close(outer)
    assert done.returncode == 0
    assert b"\r\x1b[Kcopying" in text and b"(100 %)" in text and b"backed up" in text
    plain = maintain(mesh.state, "backup", "--to", tmp_path / "c").stderr
    assert "\x1b" not in plain and "copying" in plain


def test_an_interrupted_backup_leaves_nothing(mesh, tmp_path):
    process = subprocess.Popen([lab.BIN / "meshpingd", "maintain", "backup", "--to", tmp_path / "b",
                                "--state-dir", mesh.state], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)  # before or after it set its handler: nothing half-made either way
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=30)
    assert process.returncode in (1, -signal.SIGTERM)
    assert not (tmp_path / "b").exists()
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith("b.")]
    assert left == []
