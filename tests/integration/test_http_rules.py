# SPDX-License-Identifier: Apache-2.0
"""Labels, selectors and rules over HTTP: what is taken, what is refused and why, and who was faster."""

import time

import pytest

import http_lab

ALL = {"name": "All agents ping all targets", "kind": "targets", "agents": "", "targets": ""}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = http_lab.Server(tmp_path_factory.mktemp("rules"))
    s.start().set_up()
    yield s
    s.end()


def put(server, rules, **headers):
    return server.call("PUT", "/api/v1/rules", {"rules": rules}, headers=headers)


def refused(answer, *words, status=400):
    assert answer.status == status, answer
    for word in words:
        assert word in answer.json()["detail"], answer
    return answer.json()


def test_a_new_server_lets_all_agents_ping_all_targets(server):
    answer = server.call("GET", "/api/v1/rules")
    assert answer.json() == {"revision": 1, "limit": 200, "rules": [ALL]}
    assert answer.headers["ETag"] == '"1"'


def test_rules_are_replaced_by_who_saw_the_last_ones(server):
    etag = server.call("GET", "/api/v1/rules").headers["ETag"]
    rules = [ALL, {"name": "<script>alert(1)</script>", "kind": "mesh", "agents": "group in (core, edge),!lab", "targets": ""}]
    answer = put(server, rules, **{"If-Match": etag})
    assert answer.status == 200 and answer.json()["rules"] == rules and answer.headers["ETag"] != etag
    refused(put(server, [], **{"If-Match": etag}), "rules", status=412)
    refused(put(server, [], **{"If-Match": "3"}), "If-Match")
    assert server.call("GET", "/api/v1/rules").json()["rules"] == rules
    assert put(server, [ALL], **{"If-Match": "*"}).status == 200


@pytest.mark.parametrize("rule,word", [
    ({"kind": "targets", "agents": "site in"}, "agents: selector, character 8"),
    ({"kind": "targets", "targets": "a=b c"}, "targets: selector"),
    ({"kind": "targets", "agents": "x" * 512}, "agents"),
    ({"kind": "mesh", "targets": "a"}, "mesh"),
    ({"kind": "ring"}, "kind"),
    ({}, "kind"),
    ({"kind": 1}, "kind"),
    ({"kind": "mesh", "agents": 7}, "agents"),
    ({"kind": "mesh", "name": "a\nb"}, "control"),
    ({"kind": "mesh", "name": "n" * 65}, "name"),
    ({"kind": "mesh", "agent": "a"}, "agent"),
    ("mesh", "object"),
    (None, "object"),
])
def test_a_bad_rule_is_named_and_the_old_ones_stay(server, rule, word):
    before = server.call("GET", "/api/v1/rules").json()
    for path in ("/api/v1/rules/preview", "/api/v1/rules"):
        answer = server.call("POST" if "preview" in path else "PUT", path, {"rules": [ALL, rule]})
        assert refused(answer, "rule 2", word)["index"] == 1
    assert server.call("GET", "/api/v1/rules").json() == before


def test_the_list_of_rules_has_a_form_and_a_limit(server):
    for body in ({}, {"rules": {}}, {"rules": "x"}, {"rules": None}):
        refused(server.call("PUT", "/api/v1/rules", body), "rules")
    assert put(server, [ALL] * 200).status == 200
    refused(put(server, [ALL] * 201), "201")
    assert put(server, [ALL]).status == 200


def test_targets_have_labels_and_are_found_by_them(server):
    targets = [{"address": "192.0.2.1", "labels": {"tier": "core", "site": "fra"}, "slow_ms": 20, "lossy_percent": 25},
               {"address": "192.0.2.2", "labels": {"tier": "edge"}}, {"address": "192.0.2.3"}]
    saved = server.call("PUT", "/api/v1/targets", {"targets": targets})
    assert saved.status == 200, saved
    first = saved.json()["targets"][0]
    assert (first["labels"], first["slow_ms"], first["lossy_percent"]) == ({"tier": "core", "site": "fra"}, 20, 25)
    assert saved.json()["targets"][2]["labels"] == {}

    def found(selector):
        return [t["address"][-1] for t in server.call("GET", f"/api/v1/targets?selector={selector}").json()["targets"]]

    assert found("") == ["1", "2", "3"] and found("tier") == ["1", "2"] and found("!tier") == ["3"]
    assert found("tier%3Dcore") == ["1"] and found("tier+in+(core,edge),site!%3Dfra") == ["2"]
    refused(server.call("GET", "/api/v1/targets?selector=tier+in"), "selector")
    refused(server.call("GET", "/api/v1/agents?selector=%3Cb%3E"), "selector")
    refused(server.call("GET", "/api/v1/agents?state=good"), "state")
    # what GET gave may be put back as it is
    again = server.call("PUT", "/api/v1/targets", {"targets": saved.json()["targets"]})
    assert again.json()["targets"] == saved.json()["targets"]


def test_a_pause_has_a_reason_and_may_have_an_end(server):
    end = int(time.time() * 1000) + 3600_000
    pauses = [{"reason": "moved"}, {"reason": "rack 4", "until_ms": end}, None, {"reason": "over", "until_ms": 1000}]
    saved = server.call("PUT", "/api/v1/targets", {"targets": [
        {"address": f"192.0.2.{i}", "paused": pause} for i, pause in enumerate(pauses, 1)]})
    assert saved.status == 200, saved
    assert [t.get("paused") for t in saved.json()["targets"]] == [*pauses[:2], None, None]  # the last one's has ended
    cells = server.call("GET", "/api/v1/matrix").json()["targets"]
    assert [t.get("paused") for t in cells] == [*pauses[:2], None, None]
    # what GET gave keeps the pauses, the original's route too; without one the target is resumed
    again = server.call("PUT", "/api/v1/targets", {"targets": saved.json()["targets"]})
    assert again.json()["targets"] == saved.json()["targets"]
    hosts = [f"192.0.2.{i}" for i in range(1, 5)]
    assert server.call("POST", "/admin/update_targets", {"targets": hosts}).status == 200
    assert server.call("GET", "/api/v1/targets").json()["targets"] == saved.json()["targets"]
    preview = server.call("POST", "/api/v1/targets/preview", {"targets": hosts}).json()
    assert [change["before"]["paused"] for change in preview["changed"]] == pauses[:2]
    assert not any("paused" in change["after"] for change in preview["changed"])
    for bad in (True, {}, {"reason": ""}, {"reason": 5}, {"reason": "x" * 65}, {"reason": "a\nb"},
                {"reason": "a", "until_ms": -1}, {"reason": "a", "until_ms": 1.5}, {"reason": "a", "until_ms": 1 << 62}):
        answer = server.call("PUT", "/api/v1/targets", {"targets": [{"address": "192.0.2.1", "paused": bad}]})
        assert answer.status == 400 and answer.json()["index"] == 0, (bad, answer)


@pytest.mark.parametrize("labels,word", [
    ({"a": "<img src=x onerror=alert(1)>"}, "letters"),
    ({"<b>": "x"}, "letters"),
    ({"a": "b,c=d"}, "letters"),  # one pair is one label
    ({"a=b,c": "d"}, "letters"),
    ({"a": "b/c"}, "no '/'"),
    ({"": "x"}, "label"),
    ({"-a": "x"}, "begin"),
    ({"a": "x" * 64}, "64 characters"),
    ({"a": 1}, "string"),
    ({"a": None}, "string"),
    ({"a": {}}, "string"),
    ("a=b", "object"),
    (["a=b"], "object"),
    ({f"k{i}": "v" for i in range(17)}, "more than 16"),
    ({f"k{i}": "v" * 60 for i in range(5)}, "characters together"),
])
def test_a_bad_label_is_refused_with_the_reason(server, labels, word):
    before = server.call("GET", "/api/v1/targets").json()
    answer = server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.9", {"address": "192.0.2.1", "labels": labels}]})
    assert refused(answer, word)["index"] == 1
    assert server.call("GET", "/api/v1/targets").json() == before


def test_thresholds_have_bounds(server):
    for field, bad in (("slow_ms", 60001), ("slow_ms", -1), ("lossy_percent", 101), ("lossy_percent", 1.5)):
        refused(server.call("PUT", "/api/v1/targets", {"targets": [{"address": "192.0.2.1", field: bad}]}), field)


def test_previews_count_pairs(server):
    found = server.call("POST", "/api/v1/rules/preview", {"rules": [{"kind": "mesh", "agents": "group=core"}]}).json()
    assert found["pairs"] == {"before": 0, "after": 0, "added": 0, "removed": 0} and found["agents"] == 0
    found = server.call("POST", "/api/v1/targets/preview", {"targets": ["192.0.2.1", "192.0.2.77"]}).json()
    assert found["pairs"]["after"] == 0 and len(found["added"]) == 1
