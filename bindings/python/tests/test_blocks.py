# SPDX-License-Identifier: Apache-2.0
import random
import struct
import zlib

import meshping
import pytest
from meshping import Sample

START_US = 1_700_000_000_000_000


def test_a_block_gives_back_every_sample_of_every_target():
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    samples = {}
    for target_id in (1, 7, 2**53 - 1):
        run = []
        for i in range(500):
            outcome = rng.choice(["ok", "ok", "ok", "timeout", "unreachable", "isolated"])
            rtt_us = rng.randrange(100, 200_000) if outcome == "ok" else None
            run.append(Sample(START_US + i * 5_000_000, outcome, rtt_us, rng.choice([0, 0, 1])))
        samples[target_id] = run
    block = meshping.encode_block(samples)
    assert meshping.decode_block(block) == samples
    assert len(block) < 1500 * 16, "no smaller than the raw samples"


def test_a_damaged_block_is_refused_with_the_reason():
    block = bytearray(meshping.encode_block({1: [Sample(START_US, "ok", 250)]}))
    block[len(block) // 2] ^= 0x40
    with pytest.raises(meshping.Error) as caught:
        meshping.decode_block(block)
    assert caught.value.name == "CORRUPT"
    assert caught.value.status == 8
    assert len(str(caught.value)) > 10


@pytest.mark.parametrize("garbage", [b"", b"\0", b"garbage" * 100])
def test_garbage_is_no_block(garbage):
    with pytest.raises(meshping.Error):
        meshping.decode_block(garbage)


def test_an_empty_block_cannot_be_made():
    with pytest.raises(meshping.Error) as caught:
        meshping.encode_block({})
    assert caught.value.name == "STATE"


def test_wrong_samples_are_refused():
    with pytest.raises(ValueError, match="unknown outcome 'fine'"):
        meshping.encode_block({1: [Sample(START_US, "fine", 1)]})
    with pytest.raises(meshping.Error, match="."):
        meshping.encode_block({0: [Sample(START_US, "ok", 1)]})
    with pytest.raises(TypeError):
        meshping.decode_block("text")


def test_lost_means_the_target_not_the_agent():
    assert Sample(START_US, "timeout").lost
    assert not Sample(START_US, "isolated").lost
    assert not Sample(START_US, "isolated").ok
    assert not Sample(START_US, "ok", 10).lost


def number(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


@pytest.mark.parametrize("outcome, lost", [(7, True), (15, True), (21, False), (31, False)])
def test_an_outcome_of_a_later_version_is_told_by_its_number(outcome, lost):
    """BLOCK.md: a reader keeps an outcome number that it does not know."""
    columns = b"".join(b"\0" + number(low) for low in (9, 1, 2**56 + 1, 0, 0))
    meta = b"\1\0\1" + bytes([outcome]) + b"\0" + b"\1\0"
    chunk = bytes([len(meta), len(meta)]) + meta + b"\0\0"
    body = b"M\2\1\1" + columns + b"\1" + number(len(chunk)) + chunk
    (sample,) = meshping.decode_block(body + struct.pack("<I", zlib.crc32(body)))[9]
    assert sample == Sample(1, f"outcome_{outcome}") and sample.lost == lost and not sample.ok
    with pytest.raises(meshping.Error):
        meshping.encode_block({9: [sample]})
