"""sentence-transformers' CrossEncoder: `predict` with its defaults, which sorts by length and takes batches of 32.

Its backends: torch; OpenVINO through its own loader; and ONNX Runtime with weights in int8. Its loader for ONNX
Runtime, optimum-onnx, does not import with transformers 5. So the graph is exported and quantised here, with the calls
and settings that its `export_dynamic_quantized_onnx_model(…, "avx2")` makes, and replaces the model that `predict`
calls.
"""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from sidecar.bench.subject import Subject
from sidecar.bench.system import Offer, Score
from sidecar.bench.work import Query
from sidecar.core.errors import ConfigurationError


def _torch(subject: Subject) -> Score:
    encoder = _cross_encoder(subject)
    encoder[0].model = subject.weights(encoder[0].model)
    return _predict(encoder)


def _openvino(subject: Subject) -> Score:
    import openvino  # noqa: F401  raises a plain ImportError; the library's own message is long

    _only_encoders_on_a_cpu(subject)
    return _predict(_cross_encoder(subject, backend="openvino"))


def _onnx(subject: Subject) -> Score:
    import onnxruntime

    _only_encoders_on_a_cpu(subject)
    encoder = _cross_encoder(subject)
    graph = _export(encoder[0].model, encoder.tokenizer, subject.foreign / "onnx")
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    encoder[0].model = _Session(session, encoder[0].model)
    return _predict(encoder)


def _only_encoders_on_a_cpu(subject: Subject) -> None:
    if subject.shared or subject.device != "cpu":
        raise ConfigurationError("This backend is compared on a CPU, with weights of its own.")


def _cross_encoder(subject: Subject, **options: Any) -> Any:
    from sentence_transformers import CrossEncoder

    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)  # it advises to save the exported model
    limit = subject.checkpoint.manifest.max_length
    kinds = {"dtype": getattr(torch, subject.dtype)} if not options else {}
    return CrossEncoder(str(subject.foreign), device=subject.device, max_length=limit, model_kwargs=kinds, **options)


def _predict(encoder: Any) -> Score:
    def score(query: Query) -> list[float]:
        pairs = [(query.written, document) for document in query.documents]
        return [float(value) for value in encoder.predict(pairs, show_progress_bar=False)]

    return score


class _Session(torch.nn.Module):
    """An ONNX Runtime session with the call interface of the model."""

    def __init__(self, session: Any, model: Any) -> None:
        super().__init__()
        self.config = model.config
        self._session = session
        self._names = [one.name for one in session.get_inputs()]

    def forward(self, **inputs: Any) -> Any:
        """Return logits, from those inputs that the graph has."""
        found = self._session.run(["logits"], {name: inputs[name].numpy() for name in self._names})
        return SimpleNamespace(logits=torch.from_numpy(found[0]))


def _export(model: Any, tokenizer: Any, directory: Path) -> Path:
    """Write the graph with free batch size and length, its weights in int8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    directory.mkdir()
    exact, quantised = directory / "model.onnx", directory / "model_quint8_avx2.onnx"
    example = dict(tokenizer(["a query"] * 2, ["a passage"] * 2, return_tensors="pt"))
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    torch.onnx.export(
        model.eval(),
        kwargs=example,
        f=str(exact),
        input_names=list(example),
        output_names=["logits"],
        dynamic_shapes=dict.fromkeys(example, free),
        dynamo=True,
        verbose=False,
    )
    quantize_dynamic(exact, quantised, weight_type=QuantType.QUInt8)
    return quantised


OFFERS = [
    Offer("sentence-transformers", "CrossEncoder.predict: sorted by length, batches of 32", _torch),
    Offer("sentence-transformers-onnx", "the same over ONNX Runtime, weights in int8", _onnx),
    Offer("sentence-transformers-openvino", "the same with backend openvino, as it exports the model", _openvino),
]
