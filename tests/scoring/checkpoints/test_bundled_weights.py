from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.embedded_model import rounded
from sidecar.core.errors import ChecksumMismatch, ModelNotFound
from sidecar.core.fusion import Fusion, Method
from sidecar.scoring.checkpoints.bundled_weights import NEEDED, find_embedded
from sidecar.scoring.checkpoints.manifest import read_manifest
from sidecar.scoring.checkpoints.presets import CARRIED, DEFAULT, E5
from sidecar.scoring.loading import load_scorer, locate

MEGABYTE = 10**6


def test_the_package_carries_the_weights_that_were_meant_with_licence_and_origin():
    directory = find_embedded()
    assert directory == CARRIED[DEFAULT]
    assert "MIT License" in (directory / "LICENSE").read_text()
    assert "intfloat/e5-small-v2" in (directory / "README.md").read_text()
    # A wheel may be 45 MB; the adapter beside it has 6.
    assert sum(path.stat().st_size for path in directory.iterdir()) < 36 * MEGABYTE


def test_it_reads_texts_as_the_models_card_says():
    manifest = read_manifest(find_embedded())
    for part in ("kind", "query_template", "document_template", "strip", "pooling"):
        assert getattr(manifest, part) == getattr(E5, part), part
    assert manifest.preferred_fusion == Fusion(Method.ADAPTIVE)


def test_other_weights_are_refused(tmp_path):
    for name in NEEDED:
        (tmp_path / name).write_bytes(b"other")
    # The SHA-256 of b"other", by sha256sum.
    with pytest.raises(ChecksumMismatch, match="d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"):
        find_embedded(tmp_path)


def test_files_that_are_absent_are_named(tmp_path):
    with pytest.raises(ModelNotFound, match=r"lacks model.safetensors, config.json"):
        find_embedded(tmp_path)


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
    assert locate("intfloat/e5-small-v2", offline=True).directory == find_embedded()


def test_a_revision_asks_for_the_hubs_own_weights():
    with pytest.raises(ModelNotFound, match="is not in the local hub cache"):
        locate("e5-small", revision="main", offline=True)


def test_rounding_takes_the_rows_largest_magnitude_for_127():
    matrix = np.array([[0.5, -1.27, 0.004], [0, 0, 0]], dtype=np.float16)
    found = rounded({"a.weight": matrix, "a.bias": np.array([0.25], np.float32), "pooler.dense.weight": matrix})
    assert sorted(found) == ["a.bias", "a.weight", "a.weight.scale"]
    assert found["a.weight"].tolist() == [[50, -127, 0], [0, 0, 0]]
    assert found["a.weight.scale"].tolist() == pytest.approx([0.01, 1], rel=1e-3)
    assert (found["a.bias"].dtype, found["a.bias"].tolist()) == (np.float16, [0.25])


def test_transformers_gets_the_same_weights():
    theirs = load_scorer(DEFAULT, device="cpu", engine="transformers", dtype="float32").checkpoint.model.state_dict()
    stored = load_file(find_embedded() / "model.safetensors")
    name = "encoder.layer.3.output.dense.weight"
    product = stored[name].astype(np.float32) * stored[f"{name}.scale"][:, None]
    assert np.array_equal(theirs[name].numpy(), product)


def test_integers_without_scales_are_refused(tmp_path):
    from safetensors.numpy import save_file

    from sidecar.core.errors import ModelError

    copy = shutil.copytree(find_embedded(), tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    del tensors["encoder.layer.3.output.dense.weight.scale"]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"stores .* in few bits"):
        load_scorer(str(copy), device="cpu")
