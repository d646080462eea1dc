"""Keep the libraries' progress bars, load reports and warnings off the user's terminal while a model loads."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from logging import getLogger

# Importing peft imports bitsandbytes, which on CPUs with bfloat16 then warns that it lacks a kernel for 4-bit
# weights.
getLogger("bitsandbytes.backends.cpu.ops").addFilter(lambda record: "gemm_4bit_forward" not in record.getMessage())


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence transformers, peft and huggingface_hub; errors are still raised as exceptions.

    This package checks and raises what they warn about and what matters here (above all missing weights).
    """
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    level, bars, hub_bars = logging.get_verbosity(), logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if not hub_bars:
            enable_progress_bars()
