"""`sidecar mcp` as an agent starts it: a process that speaks the protocol, and nothing else, on stdout."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from tests.support.mcp_client import COMMAND, ENVIRONMENT, called

PASSAGES = ["Dogs bark at night.", "A flea lives for about a hundred days."]
QUERY = "how long does a flea live"


@pytest.mark.model
def test_an_agent_reranks():
    (found,) = asyncio.run(called(["--device", "cpu"], ("rerank", {"query": QUERY, "passages": PASSAGES})))
    assert [one["index"] for one in found.structured_content["result"]] == [1, 0]


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_an_agent_searches_a_lucene_index(tmp_path):
    from connectors.pyserini.build import build_index
    from sidecar.core.corpus import Document

    build_index([Document(f"d{n}", "", text) for n, text in enumerate(PASSAGES)], tmp_path / "index")
    words = ["--index", str(tmp_path / "index"), "--device", "cpu"]
    found, refused = asyncio.run(
        called(words, ("search", {"query": "flea dogs", "hits": 1}), ("search", {"query": "", "hits": 1}))
    )
    assert [(one["docid"], one["text"]) for one in found.structured_content["result"]] in (
        [("d0", PASSAGES[0])],
        [("d1", PASSAGES[1])],
    )
    assert refused.is_error


@pytest.mark.model
def test_stdout_has_the_protocol_alone():
    """Raw lines, for a client may forgive what stands between messages."""
    about = {"name": "test", "version": "0"}
    begin = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": begin},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "rerank", "arguments": {"query": QUERY, "passages": PASSAGES}},
        },
    ]
    process = subprocess.Popen(
        [sys.executable, *COMMAND, "--device", "cpu"],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
    process.stdin.flush()
    lines = [process.stdout.readline() for _ in range(2)]
    rest, said = process.communicate()
    assert [json.loads(line)["id"] for line in lines] == [1, 2]
    assert (rest, process.returncode) == ("", 0), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--k1", "1"], "nothing is searched without --index"),
        (["--mcp-hits", "5"], "nothing is searched without --index"),
        (["--index", "absent"], "absent"),
    ],
)
def test_what_is_wrong_is_said_before_the_protocol(run, words, said):
    status, printed, message = run("mcp", *words)
    assert (status, printed) == (1, "")
    assert said in message
