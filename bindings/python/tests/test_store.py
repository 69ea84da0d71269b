# SPDX-License-Identifier: Apache-2.0
import sqlite3

import meshping
import pytest


def test_a_new_store_is_empty(tmp_path):
    path = tmp_path / "meshping.db"
    with meshping.Store(path, read_only=False) as store:
        assert store.agents() == []
        assert store.targets() == []
        assert store.samples(1, 1) == []
    assert path.exists()
    with meshping.Store(path) as store:
        assert store.samples(1, 1, 0, 10**15) == []


def test_reading_what_is_not_there_or_not_ours_is_refused(tmp_path):
    with pytest.raises(meshping.Error) as caught:
        meshping.Store(tmp_path / "missing.db")
    assert "missing.db" in str(caught.value)
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(meshping.Error):
        meshping.Store(other)
    text = tmp_path / "text.db"
    text.write_text("this is no database " * 100)
    with pytest.raises(meshping.Error) as caught:
        meshping.Store(text)
    assert caught.value.name == "CORRUPT"


def test_a_closed_store_says_so(tmp_path):
    store = meshping.Store(tmp_path / "meshping.db", read_only=False)
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.agents()
