"""`sidecar mcp` as an agent starts it: a process that speaks the protocol, and nothing else, on stdout."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from tests.support.mcp_client import COMMAND, ENVIRONMENT, called
from tests.support.servers.chat_stub import by_number, chat_stub
from tests.support.servers.remote_stub import remote_stub

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


def test_a_generator_orders_what_an_agent_gets_and_its_failure_is_a_tools_error():
    numbers = ["1 flea", "3 fleas", "2 fleas"]
    call = ("rerank", {"query": QUERY, "passages": numbers})
    with remote_stub("vllm") as scorer, chat_stub(worth=lambda text: -by_number(text)) as generator:
        words = ["--model", scorer.url, "--listwise-model", generator.url]
        (found,) = asyncio.run(called(words, call))
        generator.faults = [lambda _: (400, {}, b"no")]
        (refused,) = asyncio.run(called(words, call))
    assert [one["text"] for one in found.structured_content["result"]] == ["1 flea", "2 fleas", "3 fleas"]
    assert [one["score"] for one in found.structured_content["result"]] == [3.0, 2.0, 1.0]
    assert refused.is_error
    assert f"{generator.url}/v1 refuses the request (HTTP 400): no" in refused.content[0].text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listwise-depth", "5"], "there is no stage two without --listwise-model"),
        (["--k1", "1"], "nothing is searched without --index"),
        (["--mcp-hits", "5"], "nothing is searched without --index"),
        (["--index", "absent"], "absent"),
    ],
)
def test_what_is_wrong_is_said_before_the_protocol(run, words, said):
    status, printed, message = run("mcp", *words)
    assert (status, printed) == (1, "")
    assert said in message
