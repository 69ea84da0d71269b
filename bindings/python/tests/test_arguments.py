# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments to every callable of the module end in an exception that says what is wrong with them."""

import random

import meshping
import pytest
from meshping import lowlevel

ODD = [None, True, -1, 0, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 1.5, float("nan"), "", "x", "a\0b", "\ud800", b"", b"x", [], (),
       {}, [None], [1], [(1, 2)], [(-1, 2)], [(1, 2**64)], [(1, 2, 3)], [[1, 2]], [("1", "2")], (1, 2), object(), range(40)]
REFUSALS = (TypeError, ValueError, OverflowError, meshping.Error)  # OverflowError: a number that the C type cannot hold


def instances(tmp_path):
    return [lowlevel.BlockBuilder(), lowlevel.RawBuffer(1, 1000, 1 << 20, 10), lowlevel.RawStore(str(tmp_path / "db"), False),
            lowlevel.RawProber(True, 1)]


def callables(tmp_path):
    for name in dir(lowlevel):
        if name.startswith(("meshping_", "glue_")) or isinstance(getattr(lowlevel, name), type) and name[0].isupper():
            yield name, getattr(lowlevel, name)
    for one in instances(tmp_path):
        for name in dir(one):
            if name[0] != "_" and name not in ("this", "thisown") and callable(getattr(one, name)):
                yield f"{type(one).__name__}.{name}", getattr(one, name)


def test_wrong_arguments_are_told_to_the_caller(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a store is opened for writing, there is one
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    tried, taken = set(), 0
    for name, call in callables(tmp_path):
        if isinstance(call, type) and issubclass(call, BaseException):
            continue
        tried.add(name)
        for count in range(13):
            for _ in range(60 if count < 6 else 200):
                arguments = [chance.choice(ODD) for _ in range(count)]
                try:
                    call(*arguments)
                    taken += 1
                except REFUSALS as error:
                    assert str(error), (name, arguments)
                except BaseException as error:
                    pytest.fail(f"{name}{tuple(arguments)!r}: {error!r}")
    assert {"RawBuffer.reconcile", "RawStore.group", "meshping_outcome_name", "RawProber.set_target"} <= tried
    assert taken > 100


@pytest.mark.parametrize("ranges, error, says", [
    (None, TypeError, "not iterable"),
    (5, TypeError, "not iterable"),
    ([5], TypeError, r"\(first, last\)"),
    ([None], TypeError, r"\(first, last\)"),
    ([("1", "2")], TypeError, r"\(first, last\)"),
    ([(1.0, 2)], TypeError, r"\(first, last\)"),
    ([(1,)], ValueError, r"\(first, last\)"),
    ([(1, 2, 3)], ValueError, r"\(first, last\)"),
    ([(-1, 2)], ValueError, "0 to 2"),
    ([(1, 2**64)], ValueError, "0 to 2"),
    ([(2 * i + 1, 2 * i + 1) for i in range(33)], ValueError, "33 ranges, at most 32"),
])
def test_ranges_that_are_none_are_refused_with_a_reason(ranges, error, says):
    buffer = meshping.Buffer()
    with pytest.raises(error, match=says):
        buffer.reconcile(ranges)
    buffer.reconcile([])


def test_pairs_that_are_none_are_refused_with_a_reason(tmp_path):
    with meshping.Store(tmp_path / "db", read_only=False) as store:
        for pairs, error in ((None, TypeError), ([5], TypeError), ([(1,)], ValueError), ([(1, -1)], ValueError),
                             ([("a", 1)], TypeError)):
            with pytest.raises(error, match="pair"):
                store.group(pairs, 0, 1)
        assert store.group([[0, 0]], 0, 3_600_000_000)["sum_us"] == 0
