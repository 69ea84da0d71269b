# SPDX-License-Identifier: Apache-2.0
"""ETag, If-Match and If-None-Match (RFC 9110, section 13)."""

import time

import pytest

import http_lab


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = http_lab.Server(tmp_path_factory.mktemp("conditional"))
    s.start().set_up()
    yield s
    s.end()


def test_etags_are_compared_as_rfc_9110_has_it(server):
    path = "/api/v1/targets"

    def put(**headers):
        return server.call("PUT", path, {"targets": ["192.0.2.1"]}, headers=headers).status

    def tag():
        return server.call("GET", path).headers["ETag"]

    assert put(**{"If-Match": f'"999999", {tag()}'}) == 200
    assert put(**{"If-Match": f'{tag()}, "999999"'}) == 200
    for other in ('"abc"', '""', '"999999", "1"'):
        assert put(**{"If-Match": other}) == 412, other
    assert put(**{"If-Match": "W/" + tag()}) == 412  # weak ones are never the same (section 8.8.3.2)
    for none in ("3", '"3', "W/3", '"3"x'):
        assert put(**{"If-Match": none}) == 400, none
    assert put(**{"If-None-Match": "*"}) == 412
    assert put(**{"If-None-Match": tag()}) == 412
    assert put(**{"If-None-Match": '"999999"'}) == 200


@pytest.mark.parametrize("path", ["/api/v1/targets", "/api/v1/targets?selector=a", "/api/v1/rules", "/api/v1/settings"])
def test_what_has_not_changed_is_not_sent_again(server, path):
    first = server.call("GET", path)
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"999999", {tag}', "*"):
        for method in ("GET", "HEAD"):
            answer = server.call(method, path, headers={"If-None-Match": known})
            assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag), (method, known)
            assert "Content-Length" not in answer.headers and answer.headers["Cache-Control"] == "no-store"
    for other in ('"999999"', tag.strip('"'), ""):
        assert server.call("GET", path, headers={"If-None-Match": other}).json() == first.json(), other


def test_a_list_looks_another_way_when_a_pause_has_ended(server):
    end = int(time.time() * 1000) + 1500
    pause = {"address": "192.0.2.1", "paused": {"reason": "x", "until_ms": end}}
    tag = server.call("PUT", "/api/v1/targets", {"targets": [pause]}).headers["ETag"]
    assert server.call("GET", "/api/v1/targets", headers={"If-None-Match": tag}).status == 304
    deadline = time.monotonic() + 10
    while (answer := server.call("GET", "/api/v1/targets", headers={"If-None-Match": tag})).status == 304:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert time.time() * 1000 >= end and "paused" not in answer.json()["targets"][0]
    # nobody has changed it
    assert server.call("PUT", "/api/v1/targets", {"targets": []}, headers={"If-Match": tag}).status == 200
