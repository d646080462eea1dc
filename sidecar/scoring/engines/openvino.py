"""The engines for BERT and its family on a CPU: OpenVINO, over batches of similar length.

The precision is always set: by default, OpenVINO computes in bfloat16 on every CPU that has it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino

from sidecar.scoring.checkpoints.checkpoint import Checkpoint
from sidecar.scoring.checkpoints.encoder_model import EncoderModel
from sidecar.scoring.engines.base import in_groups
from sidecar.scoring.engines.length_batching import plan_batches, restore_order
from sidecar.scoring.engines.names import OPENVINO
from sidecar.scoring.engines.openvino_graph import classifier_graph, embedder_graph
from sidecar.scoring.engines.padding import pad_id, pad_rows
from sidecar.scoring.hardware import cores, threads
from sidecar.scoring.prompt import Tokens

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
# Padded tokens in one batch.
MAX_TOKENS = 1024
# OpenVINO keeps this many kernels, one for each batch shape. With its default of 5000, a service grew by 0.8 GB in 1600
# shapes.
REMEMBERED_SHAPES = "128"


class OpenVinoEngine:
    """A sequence classifier with one output, of BERT's family; `precision` is one of `hardware.native_precisions`."""

    def __init__(self, checkpoint: Checkpoint, *, precision: str = "float32", batch_size: int = 128) -> None:
        self.name = OPENVINO[precision]
        model = encoder_of(checkpoint)
        self._graph = _Compiled(checkpoint, classifier_graph(model), model, precision, batch_size)

    def logits(self, groups: Sequence[Sequence[Tokens]]) -> list[list[float]]:
        """Return one logit for each pair; batches span groups. Safe to call from several threads."""
        batches, outputs = self._graph.run([pair for group in groups for pair in group])
        return in_groups(restore_order(batches, [output[:, 0].tolist() for output in outputs]), groups)


class OpenVinoEmbedder:
    """A sentence encoder: pooled as its manifest says, normalised. `precision` as in `OpenVinoEngine`."""

    def __init__(self, checkpoint: Checkpoint, *, precision: str = "float32", batch_size: int = 128) -> None:
        self.name = OPENVINO[precision]
        model = encoder_of(checkpoint)
        graph = embedder_graph(model, checkpoint.manifest.pooling)
        self._graph = _Compiled(checkpoint, graph, model, precision, batch_size)

    def vectors(self, rows: Sequence[Tokens]) -> list[np.ndarray]:
        """Return one unit vector for each text. Safe to call from several threads."""
        found: dict[int, np.ndarray] = {}
        for batch, pooled in zip(*self._graph.run(rows), strict=True):
            # The minimum length is that of torch's `normalize`: a zero vector must not become NaN.
            units = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
            # Copied row by row: a view would keep the whole batch in memory while one row is cached.
            found.update({index: row.copy() for index, row in zip(batch, units, strict=True)})
        return [found[index] for index in range(len(rows))]


class _Compiled:
    """A graph on the CPU, with as many threads as torch would use."""

    def __init__(
        self, checkpoint: Checkpoint, graph: openvino.Model, model: EncoderModel, precision: str, batch_size: int
    ) -> None:
        self._model = openvino.Core().compile_model(
            graph,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": threads(),
                # Each process binds its threads to the first cores, so that processes that share them would use the
                # same ones.
                "ENABLE_CPU_PINNING": threads() >= cores(),
                "CPU_RUNTIME_CACHE_CAPACITY": REMEMBERED_SHAPES,
            },
        )
        self._batch_size = batch_size
        self._pad_id = pad_id(checkpoint.tokenizer, decoder=False)
        self._first_position = model.first_position
        self._turn = threading.Lock()

    def run(self, rows: Sequence[Tokens]) -> tuple[list[list[int]], list[Any]]:
        """Compute the rows: the indices of each batch, and its output (indices x outputs, float32)."""
        batches = plan_batches([len(row) for row in rows], max_pairs=self._batch_size, max_tokens=MAX_TOKENS)
        with self._turn:
            return batches, [self._batch([rows[index] for index in batch]) for batch in batches]

    def _batch(self, rows: list[Tokens]) -> Any:
        inputs = pad_rows(rows, self._pad_id)
        ids = inputs["input_ids"]
        types = inputs.get("token_type_ids", np.zeros_like(ids))
        positions = np.arange(self._first_position, self._first_position + ids.shape[1])
        return self._model([ids, positions, types, inputs["attention_mask"].astype(np.float32)])[0]


def encoder_of(checkpoint: Checkpoint) -> EncoderModel:
    """Return a checkpoint's weights as arrays: its own, or those of its transformers model."""
    model = checkpoint.model
    return model if isinstance(model, EncoderModel) else EncoderModel.of(model, checkpoint.traits)
