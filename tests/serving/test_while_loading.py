"""A model takes its time to load: the service answers meanwhile, and says that it is not ready."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from tests.support.servers.loading_service import serving, until_answered
from tests.support.servers.scripted import FAKE
from tests.support.servers.searches import body, ids, outcome
from tests.support.servers.served import ask

# A scorer that loads until its file is there.
SLOW = """
import pathlib, runpy, time
while not pathlib.Path({0!r}).exists():
    time.sleep(0.05)
runpy.run_path({1!r}, run_name="__main__")
"""


def search(url):
    content = {"content-type": "application/json"}
    return ask(url, "POST", "/books/_search", json.dumps(body()).encode(), content)


def loading(file):
    return [sys.executable, "-c", SLOW.format(str(file), FAKE[1])]


def test_it_answers_in_first_stage_order_until_the_model_is_there(tmp_path):
    with serving(loading(tmp_path / "go")) as (process, url):
        assert until_answered(url, "/_sidecar/health/live", 200).json() == {"status": "live"}
        assert ask(url, "GET", "/_sidecar/health/ready").json()["reason"] == "scorer: the scorer is starting"
        early = [search(url) for _ in range(8)]
        assert {outcome(answer) for answer in early} == {("failed", "the scorer is starting")}
        (tmp_path / "go").touch()
        until_answered(url, "/_sidecar/health/ready", 200)
        # What was asked too early counts against nobody: the first search after it is reranked.
        late = search(url)
        assert outcome(late) == ("applied", "")
        assert ids(late) != ids(early[0])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_it_ends_in_order_while_it_loads(tmp_path):
    with serving(loading(tmp_path / "never")) as (process, url):
        until_answered(url, "/_sidecar/health/live", 200)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert children
        assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_a_model_that_cant_be_loaded_ends_it_with_the_reason():
    with serving([sys.executable, "-c", "pass"]) as (process, _):
        _, logged = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "the scorer process ended before it could score" in logged
