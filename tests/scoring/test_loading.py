"""Faults of a checkpoint, and what the user is told."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import sys
import threading

import pytest
import torch
from safetensors.torch import load_file, save_file

from sidecar.core.candidates import Passage, Score
from sidecar.core.errors import AdapterMismatch, ConfigurationError, GatedModel, ModelError, ModelNotFound
from sidecar.reranker import Reranker, load_reranker
from sidecar.scoring.checkpoints.checkpoint import Placement, load_tokenizer
from sidecar.scoring.checkpoints.hub import fetch
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.loading import load_scorer
from tests.support.models.values import values


@pytest.fixture
def adapter(tiny_llama, tmp_path):
    copy = tmp_path / "adapter"
    shutil.copytree(tiny_llama[1], copy)
    return copy


def drop_tensors(directory, part, file="adapter_model.safetensors"):
    tensors = load_file(directory / file)
    kept = {key: tensor for key, tensor in tensors.items() if part not in key}
    assert len(kept) < len(tensors)
    save_file(kept, directory / file, metadata={"format": "pt"})


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_adapter_without_its_score_head_is_an_error(adapter):
    drop_tensors(adapter, "score")
    with pytest.raises(ModelError, match=r"lacks the weights score\.weight: its scores would be random"):
        load_scorer(str(adapter), device="cpu")


def test_a_full_model_without_its_score_head_is_an_error(tiny_llama):
    with pytest.raises(ModelError, match=r"lacks the weights score\.weight"):
        load_scorer(str(tiny_llama[0]), device="cpu")


def test_a_bert_without_its_classifier_is_an_error(tiny_bert, tmp_path):
    copy = tmp_path / "bert"
    shutil.copytree(tiny_bert, copy)
    drop_tensors(copy, "classifier", "model.safetensors")
    with pytest.raises(ModelError, match=r"lacks the weights classifier\.bias, classifier\.weight"):
        load_scorer(str(copy), device="cpu")


def test_a_head_with_two_labels_is_an_error(tiny_bert, tmp_path):
    from transformers import BertConfig, BertForSequenceClassification

    shutil.copytree(tiny_bert, tmp_path / "two")
    config = BertConfig.from_pretrained(str(tiny_bert), num_labels=2)
    BertForSequenceClassification(config).save_pretrained(str(tmp_path / "two"))
    with pytest.raises(ModelError, match="is a classifier with 2 outputs"):
        load_scorer(str(tmp_path / "two"), device="cpu")


def test_a_tokenizer_in_plain_python_is_refused(tmp_path):
    from transformers import CanineTokenizer

    CanineTokenizer().save_pretrained(str(tmp_path))
    with pytest.raises(ModelError, match=r"tokenizer in plain Python \(CanineTokenizer\)"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(("hidden_size", "layers"), [(32, 2), (64, 1), (64, 3)])
def test_a_base_of_another_shape_is_a_mismatch(tiny_models, adapter, tmp_path, hidden_size, layers):
    other, _ = tiny_models.build_tiny_llama(tmp_path / "other", hidden_size=hidden_size, layers=layers)
    with pytest.raises(AdapterMismatch, match=r"was trained on .*base' but the base model is .*other/base': "):
        load_scorer(str(adapter), base_model=str(other), device="cpu")


def test_another_base_than_the_adapter_names_is_a_mismatch(adapter):
    edit(adapter / "adapter_config.json", base_model_name_or_path="meta-llama/Llama-3.2-3B")
    with pytest.raises(AdapterMismatch) as caught:
        load_scorer(str(adapter), base_model="meta-llama/Llama-3.1-8B", device="cpu")
    assert str(caught.value) == (
        "The adapter was trained on 'meta-llama/Llama-3.2-3B' but the base model is 'meta-llama/Llama-3.1-8B'.\n"
        "Set the base model to 'meta-llama/Llama-3.2-3B', or choose another adapter. A mirror with the same weights is "
        "named by its directory: `hf download meta-llama/Llama-3.1-8B --local-dir DIR`, then `--base-model DIR`."
    )


def test_a_directory_of_ones_own_may_stand_for_the_base_it_names(tiny_llama, adapter):
    edit(adapter / "adapter_config.json", base_model_name_or_path="meta-llama/Llama-3.2-3B")
    [score] = values(load_scorer(str(adapter), base_model=str(tiny_llama[0]), device="cpu"), "q", [Passage("", "p")])
    assert [score] == values(load_scorer(str(tiny_llama[1]), device="cpu"), "q", [Passage("", "p")])


def test_an_adapter_whose_base_is_gone_says_whose_base_it_was(adapter):
    edit(adapter / "adapter_config.json", base_model_name_or_path="/somebody/trained/here")
    with pytest.raises(ModelNotFound, match=r"The base model of the adapter .* '/somebody/trained/here' is neither"):
        load_scorer(str(adapter), device="cpu")


def test_rank_alpha_and_targets_come_from_the_adapters_own_configuration(tiny_llama, adapter):
    edit(adapter / "adapter_config.json", lora_alpha=0)
    passages = [Passage("", "p"), Passage("T", "another")]
    muted = values(load_scorer(str(adapter), device="cpu"), "q", passages)
    off = values(load_scorer(str(tiny_llama[1]), device="cpu", adapter=False), "q", passages)
    assert muted == pytest.approx(off, abs=1e-5)


def test_an_adapter_for_another_task_is_refused(adapter):
    edit(adapter / "adapter_config.json", task_type="CAUSAL_LM")
    with pytest.raises(ModelError, match="is a LORA adapter for CAUSAL_LM"):
        load_scorer(str(adapter), device="cpu")


def test_pickled_weights_are_never_read(tiny_llama, adapter, tmp_path):
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no adapter_model\.safetensors"):
        load_scorer(str(adapter), device="cpu")
    base = tmp_path / "base"
    shutil.copytree(tiny_llama[0], base)
    torch.save(load_file(base / "model.safetensors"), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="holds no safetensors weights"):
        load_scorer(str(base), device="cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minilmm", "Did you mean 'minilm'"),
        ("dear-3b-ranknet", "Did you mean 'dear-3b-ranknet-lora'"),
        ("./no/such/directory", "is neither a preset nor a directory"),
        ("nobody/nothing-here", "is not in the local hub cache"),
    ],
)
def test_an_unknown_model_is_named_with_what_there_is(name, message):
    with pytest.raises(ModelNotFound, match=message) as caught:
        load_scorer(name, offline=True)
    assert "dear-3b-ranknet-lora, dear-3b-ce-lora, dear-3b," in caught.value.remedy


def test_a_base_model_for_a_full_model_is_refused(tiny_bert):
    with pytest.raises(ModelError, match="is not an adapter"):
        load_scorer(str(tiny_bert), base_model="meta-llama/Llama-3.2-3B")


@pytest.mark.parametrize("placement", [Placement(dtype="float64"), Placement(device="gpu")])
def test_an_unknown_device_or_dtype_is_refused(placement):
    with pytest.raises(ConfigurationError):
        (placement.torch_dtype(), placement.torch_device())


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        (403, "GatedRepo", GatedModel, "'meta-llama/Llama-3.2-3B' is gated"),
        (401, "GatedRepo", GatedModel, "Accept its licence on the hub's page of 'meta-llama/Llama-3.2-3B'"),
        (403, "", GatedModel, "HF_TOKEN"),
        (404, "RepoNotFound", ModelNotFound, "is not at the hub either"),
        (404, "RevisionNotFound", ModelNotFound, "has no revision 'v9'"),
    ],
)
def test_what_a_hub_answers_becomes_our_error(status, code, kind, message):
    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815  named by http.server

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(kind) as caught:
            fetch("meta-llama/Llama-3.2-3B", revision="v9", endpoint=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert message in str(caught.value)


def test_the_cards_own_face_gives_index_and_score_best_first():
    class Lengths:
        name = "lengths"
        manifest = Manifest()

        def score(self, _query, passages):
            return [Score(float(len(passage.text))) for passage in passages]

    reranker = Reranker(Lengths())
    assert reranker.rerank("q", [("", "a"), ("", "ccc"), ("T", "b"), ("", "")]) == [
        (1, 3.0),
        (0, 1.0),
        (2, 1.0),
        (3, 0.0),
    ]
    assert reranker.rerank("q", []) == []


def test_the_cards_own_face_loads_a_directory(tiny_llama):
    pairs = [("T", "p"), ("", "another passage"), ("", "")]
    scores = values(load_scorer(str(tiny_llama[1]), device="cpu"), "q", [Passage(*pair) for pair in pairs])
    ranked = load_reranker(str(tiny_llama[1]), device="cpu").rerank("q", pairs)
    assert ranked == sorted(enumerate(scores), key=lambda pair: -pair[1])


def test_importing_loads_no_torch():
    code = (
        "import sys, sidecar, sidecar.reranker, sidecar.scoring.loading; "
        "print({'torch', 'transformers', 'peft'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_loading_keeps_the_terminal_clean_and_imports_no_library_without_need(tiny_llama):
    """The packed engine merges an adapter by itself; peft, which imports bitsandbytes, would take 4 s."""
    code = (
        "import sys; from sidecar import load_reranker; "
        f"load_reranker({str(tiny_llama[1])!r}, device='cpu').rerank('q', [('', 'p')]); "
        "print({'peft', 'bitsandbytes'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")
