"""Choose the number format for a device, and configure quantised weights by bitsandbytes."""

from __future__ import annotations

import importlib.util
from typing import Any

from sidecar.core.errors import ConfigurationError

FP8 = "fp8"
QUANTIZATIONS = ("none", "8bit", "4bit", FP8)
# Modules that compute the score: never quantised.
HEADS = ["score", "classifier", "pooler", "head"]
INSTALL_BITSANDBYTES = "pip install 'rerank-sidecar[quantized]'"
# bitsandbytes has kernels for these.
QUANTIZABLE = {"cpu", "cuda", "xpu"}


def automatic_dtype(device: str, capability: tuple[int, int] | None = None) -> str:
    """Return the dtype for a kind of device: float32 on a CPU, bfloat16 if the hardware has it, else float16.

    `capability` is CUDA's: bfloat16 is native from 8.0 (Ampere) on; a T4 (7.5) only emulates it. Apple's GPUs get
    float16.
    """
    if device == "cpu":
        return "float32"
    if device == "mps" or (device == "cuda" and capability is not None and capability < (8, 0)):
        return "float16"
    return "bfloat16"


def unfit_for_fp8(device: str, capability: tuple[int, int] | None = None) -> str | None:
    """Say why a kind of device (torch's name, or `rocm`) can't multiply in FP8; None if it can.

    `capability` is CUDA's: tensor cores have e4m3 from 8.9 (Ada) on. AMD's GPUs have another e4m3, or another kernel.
    """
    needed = "FP8 needs an NVIDIA GPU of compute capability 8.9 or later (L4, RTX 40, H100 …)"
    if device != "cuda":
        return f"{needed}, and the device is {device}"
    if capability is None:
        return f"{needed}, and torch sees no such GPU"
    return None if capability >= (8, 9) else f"{needed}, and this one has {capability[0]}.{capability[1]}"


def quantized(quantization: str, device: str, dtype: Any) -> Any:
    """Return the configuration for 8- or 4-bit weights; None for `none`. The score head stays in `dtype`.

    Raises ConfigurationError if bitsandbytes is not installed or does not support the device, and for FP8 weights.
    """
    if quantization == "none":
        return None
    if quantization not in QUANTIZATIONS:
        raise ConfigurationError(
            f"There is no quantization {quantization!r}.", remedy=f"Use {', '.join(QUANTIZATIONS)}."
        )
    if quantization == FP8:
        raise ConfigurationError(
            "Only the packed engine has fp8 weights, and it does not compute this model here.",
            remedy="Use a decoder that it reads with the engine packed or auto, or use quantization none.",
        )
    if device not in QUANTIZABLE:
        raise ConfigurationError(
            f"bitsandbytes does not support {device}.", remedy="Use cuda or cpu, or quantization none."
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigurationError(
            f"{quantization} weights need bitsandbytes, which is not installed.",
            remedy=f"{INSTALL_BITSANDBYTES}, or use quantization none.",
        )
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=HEADS)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",  # the QLoRA paper's, made for normally distributed weights (arXiv 2305.14314)
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=HEADS,
    )
