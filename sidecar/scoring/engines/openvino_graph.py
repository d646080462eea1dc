"""BERT and its family as an OpenVINO graph, written operation by operation from its weights.

The graph is not traced: tracing MiniLM takes 6 to 11 s on two cores, this 0.1 s, so nothing has to be kept on disk. The
operations and their order are those of transformers' `modeling_bert`. In the last layer of a cross-encoder only keys
and values are computed for all rows, the rest for the first row only, since the head reads no other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from openvino import opset13 as op

from sidecar.scoring.checkpoints.encoder_model import EncoderModel


def classifier_graph(model: EncoderModel, *, first_row_alone: bool = True) -> openvino.Model:
    """Make the graph of a sequence classifier: inputs as `Encoder` says, one output, `logits` (rows, 1).

    `first_row_alone` False computes every row of the last layer, as transformers does: the same logits, more slowly.
    """
    encoder = Encoder(model)
    hidden = encoder.hidden(first_row_alone=first_row_alone)
    first = op.gather(hidden, _integer(0), _integer(1))
    bert = model.config.model_type == "bert"
    dense, out = ("pooler.dense", "classifier") if bert else ("classifier.dense", "classifier.out_proj")
    logits = encoder.linear(op.tanh(encoder.linear(first, dense)), out)
    return openvino.Model([logits], encoder.inputs, "classifier")


def embedder_graph(model: EncoderModel, pooling: str) -> openvino.Model:
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

    def __init__(self, model: EncoderModel) -> None:
        self.model = model
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
        last = self.model.config.num_hidden_layers - 1
        for index in range(last):
            hidden = self._layer(index, hidden, hidden, mask)
        first = op.gather(hidden, _integers(0), _integer(1)) if first_row_alone else hidden
        return self._layer(last, hidden, first, mask)

    def linear(self, rows: Any, name: str) -> Any:
        """Multiply by a matrix of the model, and add its bias."""
        return op.add(op.matmul(rows, self._weights(f"{name}.weight"), False, True), self._weights(f"{name}.bias"))

    def _embeddings(self) -> Any:
        words = self._lookup("word_embeddings", self._ids)
        types = self._lookup("token_type_embeddings", self._types)
        positions = self._lookup("position_embeddings", self._positions)
        return self._normed(op.add(op.add(words, types), positions), "embeddings.LayerNorm")

    def _layer(self, index: int, hidden: Any, rows: Any, mask: Any) -> Any:
        """Compute `rows` of a layer's output; they attend to all of `hidden`."""
        layer = f"encoder.layer.{index}"
        heads = self.model.config.num_attention_heads
        width = self.model.config.hidden_size // heads
        query, key, value = (
            _split(self.linear(source, f"{layer}.attention.self.{name}"), heads, width)
            for source, name in ((rows, "query"), (hidden, "key"), (hidden, "value"))
        )
        mixed = op.transpose(op.scaled_dot_product_attention(query, key, value, mask), _integers(*_SWAPPED))
        mixed = op.reshape(mixed, _integers(0, 0, heads * width), special_zero=True)
        attended = self.linear(mixed, f"{layer}.attention.output.dense")
        rows = self._normed(op.add(attended, rows), f"{layer}.attention.output.LayerNorm")
        inner = op.gelu(self.linear(rows, f"{layer}.intermediate.dense"), "erf")
        return self._normed(op.add(self.linear(inner, f"{layer}.output.dense"), rows), f"{layer}.output.LayerNorm")

    def _normed(self, rows: Any, name: str) -> Any:
        scaled = op.mvn(rows, _integers(-1), True, self.model.config.layer_norm_eps, "inside_sqrt")
        return op.add(op.multiply(scaled, self._weights(f"{name}.weight")), self._weights(f"{name}.bias"))

    def _lookup(self, table: str, indices: Any) -> Any:
        return op.gather(self._weights(f"embeddings.{table}.weight"), indices, _integer(0))

    def _weights(self, name: str) -> Any:
        # The memory is shared; the constant keeps the array alive.
        return op.constant(self.model.tensors[name], shared_memory=True)


_SWAPPED = (0, 2, 1, 3)
# Added to the attention scores of padding: e to this power is 0. The lowest float32 would become -inf in bfloat16, and
# 0 * -inf is NaN: OpenVINO's attention then returns wrong values without an error.
_UNSEEN = -1e4


def _split(rows: Any, heads: int, width: int) -> Any:
    """Reshape (rows, length, heads * width) to (rows, heads, length, width)."""
    shape = _integers(0, 0, heads, width)
    return op.transpose(op.reshape(rows, shape, special_zero=True), _integers(*_SWAPPED))


def _integer(value: int) -> Any:
    return op.constant(np.int64(value))


def _integers(*values: int) -> Any:
    return op.constant(np.array(values, dtype=np.int64))


def _float(value: float) -> Any:
    return op.constant(np.float32(value))
