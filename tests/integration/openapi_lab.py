# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.json as a judge of answers: http_lab asks it about every one that any test gets."""

import functools
import json
import pathlib
import re

import jsonschema

DOCUMENT = json.loads((pathlib.Path(__file__).parents[2] / "docs/openapi.json").read_text())
METHODS = ("get", "put", "post", "patch", "delete")
OPERATIONS = [(method, path, operation) for path, item in DOCUMENT["paths"].items()
              for method, operation in item.items() if method in METHODS]
# of the request's form, whatever the route: docs/API.md, What every request meets
ANYWHERE = {400, 403, 411, 413, 414, 415, 429, 431, 503}
LONG = 300_000  # bytes: schemas are slow, and what is wrong shows in short answers too


def resolve(node):
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def parameters(operation):
    return [resolve(parameter) for parameter in operation.get("parameters", [])]


@functools.lru_cache(maxsize=None)
def validator(text):
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": DOCUMENT["components"],
             **json.loads(text)}
    return jsonschema.Draft202012Validator(whole)


def check_schema(value, schema):
    validator(json.dumps(schema)).validate(value)


PATTERNS = [(method.upper(), re.compile(re.sub(r"\\\{[a-z]+\\\}", "[^/]+", re.escape(path))), operation)
            for method, path, operation in OPERATIONS]


def check_answer(method, path, answer):
    """The status is documented, and the body is as the file has it. Paths that are in no file are nobody's."""
    path = path.split("?")[0]
    operation = next((o for m, pattern, o in PATTERNS if m == method and pattern.fullmatch(path)
                      and path not in set(DOCUMENT["paths"]) - {p for _, p, x in OPERATIONS if x is o}), None)
    if not operation:
        return
    response = operation["responses"].get(str(answer.status))
    if not response:
        assert answer.status in ANYWHERE, f"{method} {path}: {answer} is not in docs/openapi.json"
        schema = "OriginalError" if "OriginalError" in json.dumps(operation["responses"]) else "Problem"
        check_schema(answer.json(), {"$ref": f"#/components/schemas/{schema}"})
        return
    for name, header in resolve(response).get("headers", {}).items():
        header = resolve(header)
        assert answer.headers[name] is not None or not header["required"], f"{method} {path}: {name} is missing"
        check_schema(answer.headers[name], header["schema"])
    content = resolve(response).get("content")
    if not content:
        assert answer.body == b"", answer
        return
    kind, media = next(iter(content.items()))
    assert answer.headers["Content-Type"].split(";")[0] == kind, answer.headers["Content-Type"]
    if kind.endswith("json") and len(answer.body) < LONG:
        check_schema(answer.json(), media["schema"])
