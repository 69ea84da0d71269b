# SPDX-License-Identifier: Apache-2.0
import base64
import json

import meshping
import pytest

KEY = bytes(range(16))
PIN = bytes(range(100, 116))


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "monitor.example"])
def test_a_passphrase_carries_key_address_and_pin(host):
    text = meshping.encode_passphrase(KEY, host, 8443, PIN)
    assert text.startswith("MP1-")
    assert meshping.decode_passphrase(text) == (KEY, host, 8443, PIN)
    assert meshping.decode_passphrase(text.lower().replace("-", " ")) == (KEY, host, 8443, PIN)


def test_a_mistyped_group_is_named_and_the_passphrase_is_not_repeated():
    text = meshping.encode_passphrase(KEY, "192.0.2.1", 8443, PIN)
    groups = text.split("-")
    groups[3] = ("2" if groups[3][0] != "2" else "3") + groups[3][1:]
    with pytest.raises(meshping.Error, match="group 3") as caught:
        meshping.decode_passphrase("-".join(groups))
    assert caught.value.name == "INVALID"
    assert groups[5] not in str(caught.value)


def test_wrong_parts_of_a_passphrase_are_refused():
    with pytest.raises(ValueError, match="16 are needed"):
        meshping.encode_passphrase(b"short", "192.0.2.1", 8443, PIN)
    with pytest.raises(ValueError, match="port 0"):
        meshping.encode_passphrase(KEY, "192.0.2.1", 0, PIN)
    with pytest.raises(meshping.Error, match="256.1.1.1"):
        meshping.encode_passphrase(KEY, "256.1.1.1", 8443, PIN)


@pytest.mark.parametrize("wrong", [None, 7, b"MP1-", []])
def test_what_is_no_text_is_a_type_error(wrong):
    with pytest.raises(TypeError):
        meshping.decode_passphrase(wrong)
    with pytest.raises(TypeError):
        meshping.encode_passphrase(KEY, wrong, 8443, PIN)
    with pytest.raises(TypeError):
        meshping.Store(wrong)


def test_a_message_survives_encode_and_decode():
    message = {"event": "targets_applied", "data": {"revision": 7, "count": 3}}
    text = meshping.encode_message(message)
    assert json.loads(text) == message
    assert meshping.decode_message(text) == message
    assert meshping.decode_message(text.encode()) == message


def test_unknown_fields_are_dropped():
    text = json.dumps({"event": "targets_applied", "data": {"revision": 7, "count": 3, "colour": "blue"}})
    assert "colour" not in meshping.decode_message(text)["data"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"event":"dance","data":{}}', '{"event":"targets_applied","data":{"revision":"x"}}']
)
def test_a_wrong_message_is_refused_with_the_reason(text):
    with pytest.raises(meshping.Error) as caught:
        meshping.decode_message(text)
    assert caught.value.name == "PROTOCOL"
    assert str(caught.value)


def test_bytes_in_messages_are_base64url():
    nonce = base64.urlsafe_b64encode(bytes(range(224, 256))).rstrip(b"=").decode()
    message = {"event": "welcome", "data": {"version": 1, "server_id": "00000000000000ff", "nonce_s": nonce, "time_ms": 5}}
    try:
        decoded = meshping.decode_message(json.dumps(message))
    except meshping.Error as error:
        pytest.fail(str(error))
    assert decoded["data"]["nonce_s"] == nonce
