"""A Kubernetes Service of the same name sets variables that look like settings: the service starts all the same."""

from __future__ import annotations

import json
import signal

from tests.support.servers.loading_service import serving, until_answered
from tests.support.servers.scripted import FAKE

TOLD = (
    "ignored, since they are Kubernetes service links, not settings: SIDECAR_PORT, SIDECAR_SERVICE_HOST "
    "(enableServiceLinks: false stops them)"
)


def test_it_starts_beside_a_service_of_its_name_and_warns_once(monkeypatch):
    monkeypatch.setenv("SIDECAR_PORT", "tcp://10.96.11.4:9280")
    monkeypatch.setenv("SIDECAR_SERVICE_HOST", "10.96.11.4")
    with serving(FAKE) as (process, url):
        until_answered(url, "/_sidecar/health/ready", 200)
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=30)
    lines = [json.loads(line) for line in logged.splitlines()]
    ours = [line for line in lines if line["logger"].startswith("sidecar")]  # asyncio may warn of a child that ended
    assert [line["message"] for line in ours if line["level"] == "warning"] == [TOLD]
