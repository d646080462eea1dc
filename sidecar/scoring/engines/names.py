"""The names of the engines, as settings, bench and metrics use them."""

from __future__ import annotations

# The values of the setting. `transformers` sorts by length and pads; `packed` does not pad and computes shared prefixes
# once, for decoders; `openvino` is for BERT and its family on a CPU; `card` is the model card's helper: it pads, in the
# order given.
ENGINES = ("auto", "packed", "transformers", "openvino", "card")
TRANSFORMERS, PACKED = "transformers", "packed"
# `packed` with matrices in FP8.
PACKED_FP8 = "packed-fp8"
FLOAT32, BFLOAT16 = "float32", "bfloat16"
# The names of OpenVINO's engines, by precision.
OPENVINO = {FLOAT32: "openvino", BFLOAT16: "openvino-bfloat16"}
# The precision of an engine that does not compute in the weights' dtype, by its name.
PRECISION_OF = {name: precision for precision, name in OPENVINO.items()} | {PACKED_FP8: "fp8"}
