"""The hub's word on a model before it is fetched, asked of a hub of our own on the loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sidecar.core.errors import GatedModel, ModelNotFound
from sidecar.scoring.checkpoints.hub_access import ask_hub

FILES = {"config.json": 100, "model.safetensors": 3000, "original/model.safetensors": 9000, "pytorch_model.bin": 9000}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    answers = {}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body, headers = answers.get(self.path.split("?")[0], (404, {}, {"X-Error-Code": "RepoNotFound"}))
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def offer(name, *, gated=False, opens=True):
        files = [{"rfilename": file, "size": size} for file, size in FILES.items()]
        answers[f"/api/models/{name}"] = (200, {"id": name, "gated": gated, "siblings": files}, {})
        refused = (403, {"error": "gated"}, {"X-Error-Code": "GatedRepo"})
        answers[f"/api/models/{name}/auth-check"] = (200, {}, {}) if opens else refused
        return f"http://127.0.0.1:{server.server_port}"

    yield offer
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("gated", [False, "manual"])
def test_only_what_would_be_fetched_is_counted(hub, gated):
    found = ask_hub("some/model", endpoint=hub("some/model", gated=gated))
    assert found.size == 100 + 3000
    assert found.free > 0


def test_a_licence_that_was_not_accepted_is_told_from_a_missing_token(hub, monkeypatch):
    endpoint = hub("some/model", gated="manual", opens=False)
    with pytest.raises(GatedModel, match=r"The token here gives no access\.") as caught:
        ask_hub("some/model", endpoint=endpoint)
    assert "hf_secret" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(GatedModel, match=r"There is no token\."):
        ask_hub("some/model", endpoint=endpoint)


def test_a_model_that_the_hub_has_not_is_not_found(hub):
    with pytest.raises(ModelNotFound):
        ask_hub("no/model", endpoint=hub("some/model"))


def test_without_network_the_answer_is_quick(hub):
    with pytest.raises(ModelNotFound, match="hub can't be reached"):
        ask_hub("some/model", endpoint="http://127.0.0.1:9")
