"""docs/API.md is true: it has every route, and its examples run and answer in the shape it shows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from sidecar.serving.rerank_api.endpoints import ENDPOINTS

PAGE = (Path(__file__).parents[3] / "docs" / "API.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\$ (curl .*)\n(.*)$", PAGE, re.MULTILINE)


def shape(value):
    """Return an answer's shape, without its values."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value]
    return type(value).__name__


def test_every_route_is_there(api):
    paths = {*api.client.get("/openapi.json").json()["paths"], "/v1/{index}/search", "/v1/{index}/doc/{docid}", "/"}
    named = set(re.findall(r"`(?:GET |POST )?(/[^` ]*)`", PAGE)) | {"/" for _ in re.findall(r"localhost:9281/`", PAGE)}
    assert paths - named == set()
    assert {path for path in named if path.endswith(("rerank", "score", "ranking"))} <= {e.path for e in ENDPOINTS}


def test_there_are_examples_of_every_dialect():
    called = " ".join(command for command, _ in EXAMPLES)
    assert {
        word for word in ("/cohere/v1", "/cohere/v2", "/jina", "/tei", "/vllm", "ranking") if word not in called
    } == set()
    assert len(EXAMPLES) > 15


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_an_example_answers_in_the_shape_shown(api, command, shown):
    words = [word.replace("localhost:9281", api.url) for word in shlex.split(command)]
    answer = json.loads(subprocess.run(words, capture_output=True, check=True, timeout=20).stdout)
    shown = json.loads(shown)
    if "/v1/models" in command:  # as many as are declared
        answer["data"], shown["data"] = answer["data"][:1], shown["data"][:1]
    assert shape(answer) == shape(shown)
