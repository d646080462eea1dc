from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import pytest

from sidecar.core.errors import ChecksumMismatch, ModelNotFound
from sidecar.scoring.checkpoints.bundled_weights import NEEDED, SHA256, check_weights, find_embedded, packaged
from sidecar.scoring.loading import locate


def test_the_package_carries_the_weights_that_were_asked_for():
    directory = packaged()
    assert all((directory / name).is_file() for name in NEEDED)
    assert SHA256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    check_weights(directory / "model.safetensors")


def test_a_local_path_goes_first(tmp_path):
    copy = tmp_path / "minilm"
    shutil.copytree(packaged(), copy)
    assert find_embedded(copy) == copy


def test_other_weights_are_refused(tmp_path):
    for name in NEEDED:
        (tmp_path / name).write_bytes(b"other")
    # The SHA-256 of b"other", by sha256sum.
    with pytest.raises(ChecksumMismatch, match="d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"):
        find_embedded(tmp_path)


def test_a_path_without_the_model_is_an_error(tmp_path):
    with pytest.raises(ModelNotFound, match="does not hold the embedded model"):
        find_embedded(tmp_path)


def test_the_hub_cache_goes_before_the_package(tmp_path):
    snapshot = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2/snapshots/abc"
    shutil.copytree(packaged(), snapshot)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    code = "from sidecar.scoring.checkpoints.bundled_weights import find_embedded; print(find_embedded())"
    environment = {"HF_HUB_CACHE": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(snapshot)


def test_a_first_run_asks_no_network_and_keeps_the_terminal_clean(tmp_path):
    code = textwrap.dedent("""
        import socket
        def refuse(*_, **__): raise AssertionError("the network was asked")
        socket.socket.connect = socket.getaddrinfo = refuse
        from sidecar import load_reranker
        ranked = load_reranker().rerank("how to bake bread", [("", "a car"), ("", "dough and oven")])
        print([index for index, _ in ranked])
    """)
    environment = {"HF_HOME": str(tmp_path), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[1, 0]\n", "")


def test_the_hub_name_that_an_adapter_records_leads_to_the_embedded_copy():
    assert locate("sentence-transformers/all-MiniLM-L6-v2", offline=True).directory == find_embedded()
