# SPDX-License-Identifier: Apache-2.0
"""The bounds that docs/openapi.json gives are the server's: what is within them is taken, what is next to them is not."""

import itertools
import urllib.parse

import pytest

import http_lab
from openapi_lab import DOCUMENT, OPERATIONS, parameters, resolve

numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = http_lab.Server(tmp_path_factory.mktemp("limits"), advertise="127.0.0.1:8443")
    s.start().set_up()
    yield s
    s.end()


def in_list(name, **base):
    return lambda field, value: {name: [{**base, field: value}]}


def passphrase(field, value):
    more = {"preapprove_from": "10.0.0.0/8", "uses": 100000} if field == "preapprove" else {}
    return {**more, field: value}


def user(field, value):
    return {"name": f"u{next(numbers)}", "role": "viewer", field: value}


def token(field, value):
    return {"name": "a", "role": "viewer", field: value}


BODIES = {
    ("post", "/api/v1/targets/preview"): (in_list("targets", address="h.example"), "TargetInput"),
    ("post", "/api/v1/rules/preview"): (in_list("rules", kind="targets"), "Rule"),
    ("post", "/api/v1/passphrases"): (passphrase, None),
    ("post", "/api/v1/users"): (user, None),
    ("post", "/api/v1/tokens"): (token, None),
}
LONG = {  # of the greatest length, where any letters would not do
    "address": lambda n: ".".join(["a" * 61] * 4)[:n - 4].ljust(n - 4, "b") + ".org",
    "email": lambda n: "a" * (n - 4) + "@b.c",
    "agents": lambda n: ("k in (" + ",".join(["v" * 50] * 16))[:n - 1] + ")",
    "targets": lambda n: ("k in (" + ",".join(["v" * 50] * 16))[:n - 1] + ")",
}


def bounds(field, schema):
    """(value, whether it is within); no bound of a number is left out."""
    if "enum" in schema:
        return [(value, True) for value in schema["enum"]] + [("x" if schema["type"] == "string" else 5, False)]
    if schema.get("type") == "integer":
        least, most = schema["minimum"], schema["maximum"]
        return [(least, True), (least - 1, False), (most, True), (most + 1, False)]
    if schema.get("type") != "string" or "maxLength" not in schema or field == "source":
        return []
    text, most = LONG.get(field, lambda n: "x" * n), schema["maxLength"]
    return [(text(most), True), (text(most + 1), False)]


@pytest.mark.parametrize("method,path", BODIES, ids=[path for _, path in BODIES])
def test_a_field_takes_what_the_file_says_and_no_more(server, method, path):
    make, name = BODIES[method, path]
    operation = DOCUMENT["paths"][path][method]
    schema = (DOCUMENT["components"]["schemas"][name] if name
              else resolve(operation["requestBody"]["content"]["application/json"]["schema"]))
    tried = 0
    for field, of_field in schema["properties"].items():
        for value, within in bounds(field, resolve(of_field)):
            answer = server.call(method.upper(), path, make(field, value))
            assert (answer.status < 300) == within, (field, value, answer)
            assert within or answer.status == 400, (field, value, answer)
            tried += 1
    assert tried > 3


QUESTIONS = [(path, parameter) for method, path, operation in OPERATIONS if method == "get" and "{" not in path
             for parameter in parameters(operation)
             if parameter["in"] == "query" and {"minimum", "maximum"} & set(parameter["schema"])
             and "agent" not in {p["name"] for p in parameters(operation)}]


@pytest.mark.parametrize("path,parameter", QUESTIONS, ids=[f"{path}?{p['name']}" for path, p in QUESTIONS])
def test_a_parameter_takes_what_the_file_says_and_no_more(server, path, parameter):
    schema = parameter["schema"]
    for bound, step in (("minimum", -1), ("maximum", 1)):
        for beyond in (0, step) if bound in schema else ():
            question = urllib.parse.urlencode({parameter["name"]: schema[bound] + beyond})
            assert server.call("GET", f"{path}?{question}").status == (400 if beyond else 200), question
