# SPDX-License-Identifier: Apache-2.0
"""`meshping-bench store` with series of any shape: each is stored, read back and compared by the bench itself."""

import json
import os
import random
import shutil
import subprocess

import lab
import pytest


def bench(text, path="/nowhere"):
    """Without VictoriaMetrics: the peer takes its time."""
    return subprocess.run([lab.BIN / "meshping-bench", "store", "--series", "-", "--json"], input=text, text=True,
                          capture_output=True, timeout=120, env=os.environ | {"PATH": path})


@pytest.mark.parametrize("name, text, samples", [
    ("one sample", "312\n", 1),
    ("all lost", "- - - -\n" * 3, 12),
    ("constant", "500 " * 300 + "\n", 300),
    ("from far below a microsecond to ten seconds", "0.001 0 0.5 1 9999999.9 10000000 4294967231\n", 7),
    ("of different lengths, with blank lines, CRLF and comments",
     "# made by hand\r\n\r\n1 2 3\r\n\n \t\n4 # the rest was lost\n5 -  6\t7", 8),
])
def test_series_of_any_shape(name, text, samples):
    done = bench(text)
    assert done.returncode == 0, done.stderr
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    ours = next(figure for figure in figures if figure["peer"] == "SQLite, a row a sample")
    assert ours["bench"] == "store" and ours["unit"] == "bytes" and 0 < ours["value"] < 100_000 / samples, name


@pytest.mark.parametrize("samples", [1, 5])
def test_ten_thousand_short_series(samples):
    """What a pair costs by itself is where a mesh of many targets is dear."""
    dice = random.Random(samples)
    text = "".join(" ".join(str(200 + n % 300 + dice.randrange(60)) for _ in range(samples)) + "\n"
                   for n in range(10000))
    done = bench(text, os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    peers = {figure["peer"]: figure for figure in map(json.loads, done.stdout.splitlines()) if figure["peer"]}
    assert peers["SQLite, a row a sample"]["value"] * samples < 30
    assert ("VictoriaMetrics" in peers) == (shutil.which("victoria-metrics") is not None)
    assert all(figure["ratio"] < 1 for figure in peers.values()), peers


def test_more_series_than_a_block_holds():
    done = bench("".join(f"{200 + n % 97} {200 + n % 89}\n" for n in range(70000)))
    assert done.returncode == 0, done.stderr
    rows = next(figure for figure in map(json.loads, done.stdout.splitlines()) if figure["peer"])
    assert rows["value"] * 140000 < 70000 * 30


def test_a_file_that_is_no_text():
    done = bench("1 2\n3 \0 4\n")
    assert done.returncode == 1 and done.stdout == "" and "line 2" in done.stderr


@pytest.mark.parametrize("text, line, word", [
    ("1 2\n\n3 x 4\n", 3, "x"), ("1 -5\n", 1, "-5"), ("--\n", 1, "--"), ("1e3\n", 1, "1e3"), ("nan\n", 1, "nan"),
    ("1.2.3\n", 1, "1.2.3"), ("4294967232\n", 1, "4294967232"), ("9" * 400 + "\n", 1, "9" * 40), (".\n", 1, "."),
    ("1,2\n", 1, "1,2"),
])
def test_what_is_no_rtt_is_told_with_its_line(text, line, word):
    done = bench(text)
    assert done.returncode == 1 and done.stdout == ""
    assert f"line {line}: \"{word}\" is no RTT" in done.stderr


def test_no_samples_at_all():
    for text in ("", "\n\n", "# nothing\n"):
        done = bench(text)
        assert done.returncode == 1 and "no samples" in done.stderr
