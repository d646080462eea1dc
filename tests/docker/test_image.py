"""The steps of each image run in a clean folder; its own command serves there what the smoke check asks."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.docker.dockerfile import ROOT, Builder
from tests.support.live.nodes import NODES

pytestmark = [
    pytest.mark.live,
    pytest.mark.soak,
    # One OpenSearch is enough, for it is the image that is tested; each takes a minute to build.
    pytest.mark.parametrize("opensearch_url", NODES[:1], indirect=True),
]

KEY = "key-of-the-smoke-check"


@pytest.fixture(scope="module")
def folder():
    """A folder that the image's user can reach, as pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="sidecar-image-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def image(request, folder):
    """The image of a target; libraries are linked from uv's cache instead of copied."""
    made = folder / request.param
    made.mkdir()
    yield Builder(made, {"TORCH": "pypi"}, {"UV_LINK_MODE": "hardlink"}).target(request.param)
    shutil.rmtree(made)


class Container:
    """The image's command, running as its user, with nothing of this machine's environment."""

    def __init__(self, image, opensearch_url):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.ports = [one.getsockname()[1], other.getsockname()[1]]
        self.image = image
        self.home = f"{image.files}{image.directory}"
        self.env = image.env | {
            "PATH": f"{image.env['PATH']}/usr/bin:/bin",
            "HOME": self.home,
            "LD_LIBRARY_PATH": str(image.files.parent / "python" / "lib"),  # of the Python that stands in
            "SIDECAR_HOST": "127.0.0.1",  # the image's own would open the test's machine to its network
            "SIDECAR_PORT": str(self.ports[0]),
            "SIDECAR_API_PORT": str(self.ports[1]),
            "SIDECAR_API_KEY": KEY,
            "SIDECAR_DEVICE": "cpu",
            "SIDECAR_OPENSEARCH_URL": opensearch_url,
        }
        self.identity = {}
        if os.geteuid() == 0:
            user, group = map(int, image.user.split(":"))
            self.identity = {"user": user, "group": group, "extra_groups": []}

    def run(self, words, **options):
        return subprocess.Popen(words, env=self.env, cwd=self.home, text=True, **self.identity, **options)

    def is_healthy(self):
        return self.run(self.image.healthcheck, stdout=subprocess.DEVNULL).wait() == 0

    def is_live(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[0]}/_sidecar/health/live", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    @contextmanager
    def started(self, log):
        with log.open("w") as out:
            process = self.run([*self.image.entrypoint, *self.image.command], stdout=out, stderr=out)
        try:
            wait_for(self.is_healthy, process, log)
            yield process
        finally:
            process.kill()
            process.wait()

    def smoke(self):
        urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        env = {"PATH": os.environ["PATH"], "SIDECAR_API_KEY": KEY}
        words = [sys.executable, ROOT / "docker" / "smoke.py", *urls]
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False)

    def switch(self, enabled):
        import httpx

        answer = httpx.put(
            f"http://127.0.0.1:{self.ports[0]}/_sidecar/rerank",
            json={"enabled": enabled},
            headers={"X-Sidecar-Api-Key": KEY},
        )
        assert answer.json() == {"enabled": enabled}


def wait_for(holds, process, log):
    deadline = time.monotonic() + 300
    while not holds():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def newer_than(files, moment):
    return [path for path in files.rglob("*") if path.lstat().st_mtime > moment]


def test_the_image_serves_what_the_smoke_check_asks(image, opensearch_url, client, tmp_path):
    container = Container(image, opensearch_url)
    before = time.time()
    with container.started(tmp_path / "log") as process:
        done = container.smoke()
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == "all fine"

        # The check tells a service that does not do its job, and takes its index away all the same.
        container.switch(enabled=False)
        done = container.smoke()
        assert done.returncode == 1
        wrong = [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("WRONG")]
        assert wrong == ["WRONG reranked"]  # searches are answered as ever, with the reason why they are not reranked
        assert client.indices.get(index="sidecar-smoke-*", allow_no_indices=True) == {}

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert not container.is_healthy()
    assert newer_than(image.files, before) == []  # so its root file system may be read-only


def test_it_ends_in_order_where_the_model_is_still_loading(image, opensearch_url, tmp_path):
    container = Container(image, opensearch_url)
    with (tmp_path / "log").open("w") as log:
        process = container.run([*image.entrypoint, *image.command], stdout=log, stderr=log)
    try:
        # The listeners answer before the model is loaded, and from then on SIGTERM is an orderly end.
        wait_for(container.is_live, process, tmp_path / "log")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
    assert '"ready: ' not in (tmp_path / "log").read_text()
