"""BERT and its kin as an OpenVINO graph, written operation by operation out of the weights of a transformers model.

Written, not traced: tracing MiniLM takes 6 to 11 s on two cores, this 0.1 s, so nothing has to be kept on disk. The
operations and their order are those of transformers' `modeling_bert`. In the last layer of a cross-encoder only the
first row is computed beyond keys and values, since the head reads no other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as op


def classifier_graph(model: Any, *, first_row_alone: bool = True) -> openvino.Model:
    """Make the graph of a sequence classifier: inputs as `Encoder` says, one output, `logits` (rows, 1).

    `first_row_alone` False computes every row of the last layer, as transformers does: the same logits, later.
    """
    encoder = Encoder(model.base_model)
    hidden = encoder.hidden(first_row_alone=first_row_alone)
    first = op.gather(hidden, _integer(0), _integer(1))
    if model.config.model_type == "bert":
        head = [encoder.module.pooler.dense, model.classifier]
    else:
        head = [model.classifier.dense, model.classifier.out_proj]
    logits = linear(op.tanh(linear(first, head[0])), head[1])
    return openvino.Model([logits], encoder.inputs, "classifier")


def embedder_graph(model: Any, pooling: str) -> openvino.Model:
    """Make the graph of a sentence encoder: inputs as `Encoder` says, one output (rows, width).

    `pooling` is `mean`, of all tokens, or `first_token`.
    """
    encoder = Encoder(model)
    if pooling == "first_token":
        first = op.gather(encoder.hidden(first_row_alone=True), _integer(0), _integer(1))
        return openvino.Model([first], encoder.inputs, "embedder")
    hidden = encoder.hidden(first_row_alone=False)
    weights = op.unsqueeze(encoder.attended, _integer(2))
    sums = op.reduce_sum(op.multiply(hidden, weights), _integer(1))
    return openvino.Model([op.divide(sums, op.reduce_sum(weights, _integer(1)))], encoder.inputs, "embedder")


class Encoder:
    """Embeddings and layers over padded rows.

    Its inputs are `input_ids` (rows, longest), `position_ids` (longest), `token_type_ids` (rows, longest), all int64,
    and `attended` (rows, longest), float32: 1 for a token, 0 for padding.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        rows_longest, longest = openvino.PartialShape([-1, -1]), openvino.PartialShape([-1])
        self._ids = op.parameter(rows_longest, np.int64, name="input_ids")
        self._positions = op.parameter(longest, np.int64, name="position_ids")
        self._types = op.parameter(rows_longest, np.int64, name="token_type_ids")
        self.attended = op.parameter(rows_longest, np.float32, name="attended")
        self.inputs = [self._ids, self._positions, self._types, self.attended]
        for node in self.inputs:
            node.output(0).get_tensor().set_names({node.get_friendly_name()})

    def hidden(self, *, first_row_alone: bool) -> Any:
        """Compute the last layer's rows: all of them, or the first of each text."""
        mask = op.multiply(op.subtract(_float(1.0), self.attended), _float(_UNSEEN))
        mask = op.unsqueeze(mask, _integers(1, 2))
        hidden = self._embeddings()
        *layers, last = self.module.encoder.layer
        for layer in layers:
            hidden = _layer(layer, hidden, hidden, mask)
        first = op.gather(hidden, _integers(0), _integer(1)) if first_row_alone else hidden
        return _layer(last, hidden, first, mask)

    def _embeddings(self) -> Any:
        tables = self.module.embeddings
        words = _lookup(tables.word_embeddings, self._ids)
        types = _lookup(tables.token_type_embeddings, self._types)
        positions = _lookup(tables.position_embeddings, self._positions)
        return _normed(op.add(op.add(words, types), positions), tables.LayerNorm)


def _layer(layer: Any, hidden: Any, rows: Any, mask: Any) -> Any:
    """Compute `rows` of a layer's output; they attend to all of `hidden`."""
    part = layer.attention.self
    heads, width = part.num_attention_heads, part.attention_head_size
    query, key, value = (
        _split(linear(source, projection), heads, width)
        for source, projection in ((rows, part.query), (hidden, part.key), (hidden, part.value))
    )
    mixed = op.transpose(op.scaled_dot_product_attention(query, key, value, mask), _integers(*_SWAPPED))
    mixed = op.reshape(mixed, _integers(0, 0, heads * width), special_zero=True)
    attended = layer.attention.output
    rows = _normed(op.add(linear(mixed, attended.dense), rows), attended.LayerNorm)
    inner = op.gelu(linear(rows, layer.intermediate.dense), "erf")
    return _normed(op.add(linear(inner, layer.output.dense), rows), layer.output.LayerNorm)


_SWAPPED = (0, 2, 1, 3)
# Added to what attends to padding: e to this power is 0. The lowest float32 becomes -inf in bfloat16, and 0 * -inf no
# number: OpenVINO's attention then answers nonsense, without a word.
_UNSEEN = -1e4


def _split(rows: Any, heads: int, width: int) -> Any:
    """(rows, length, heads * width) to (rows, heads, length, width)."""
    shape = _integers(0, 0, heads, width)
    return op.transpose(op.reshape(rows, shape, special_zero=True), _integers(*_SWAPPED))


def linear(rows: Any, module: Any) -> Any:
    """Apply a torch Linear."""
    return op.add(op.matmul(rows, _weights(module.weight), False, True), _weights(module.bias))


def _normed(rows: Any, module: Any) -> Any:
    scaled = op.mvn(rows, _integers(-1), True, module.eps, "inside_sqrt")
    return op.add(op.multiply(scaled, _weights(module.weight)), _weights(module.bias))


def _lookup(table: Any, indices: Any) -> Any:
    return op.gather(_weights(table.weight), indices, _integer(0))


def _weights(parameter: torch.Tensor) -> Any:
    # Shared, not copied; the constant keeps the array alive, and the array the tensor.
    return op.constant(parameter.detach().float().contiguous().numpy(), shared_memory=True)


def _integer(value: int) -> Any:
    return op.constant(np.int64(value))


def _integers(*values: int) -> Any:
    return op.constant(np.array(values, dtype=np.int64))


def _float(value: float) -> Any:
    return op.constant(np.float32(value))
