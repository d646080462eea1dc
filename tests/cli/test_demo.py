"""`sidecar demo`, as `make demo` runs it, with one question."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from sidecar.cli.main import main
from tests.support.servers.served import ask
from tests.support.servers.service_process import free_ports
from tests.support.waiting import until

pytestmark = [pytest.mark.soak, pytest.mark.live, pytest.mark.usefixtures("jvm")]


def test_the_demo_answers_a_question_out_of_pythons_documentation(capsys):
    with pytest.raises(SystemExit) as end:
        main(["demo", "start a function some seconds later", "--device", "cpu"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert "threading.Timer: BM25's rank" in out
    assert "scoring 100 passages" in out


def test_the_demo_serves_the_page_until_it_is_interrupted(tmp_path):
    (port,) = free_ports(1)
    variables = {**os.environ, "SIDECAR_API_PORT": str(port), "SIDECAR_BUDGET_MS": "120000"}
    command = [sys.executable, "-m", "sidecar", "demo", "--web", "a timer", "--device", "cpu"]
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(command, env=variables, stdout=err, stderr=err)
    try:
        url = f"http://localhost:{port}"
        told = f"the page is at {url}/ui?engine=lucene&index=python&q=a+timer"
        until(lambda: told in (tmp_path / "err").read_text() or process.poll() is not None, seconds=180)
        assert told in (tmp_path / "err").read_text()
        body = json.dumps({"index": "python", "query": "a timer", "window": 10}).encode()
        answer = ask(url, "POST", "/v1/compare", body, {"content-type": "application/json"}, timeout=120)
        (ranking,) = answer.json()["rankings"]
        assert (ranking["status"], len(ranking["hits"])) == ("applied", 10)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
