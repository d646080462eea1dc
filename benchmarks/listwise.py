"""Count what stage two costs by depth: requests and tokens of a query, and the time of a tiny random model.

    python -m benchmarks.listwise [--words 60] [--queries 3]

Tokens are estimated from characters (`token_guess`), for passages of `--words` words. The time is that of a Llama of
two layers on this machine, which shows how the cost grows, not how high it is: that depends on model and device.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sidecar.core.candidates import Passage
from sidecar.core.listwise_spec import ListwiseMode, ListwiseSpec
from sidecar.core.token_guess import CHARACTERS_PER_TOKEN
from sidecar.listwise.local import LocalGenerator, load_local
from sidecar.listwise.prompt import Chat
from sidecar.listwise.windows import Answer, sort_windows
from tests.support.models.tiny_generator import build_tiny_generator

DEPTHS = (10, 20, 30, 50, 100)
QUERY = "how long is the life cycle of a flea"
SENTENCE = "the life cycle of a flea has four stages, egg, larva, pupa and adult, which take some weeks. "


def passages(count: int, words: int) -> list[Passage]:
    """Return passages of so many words, each another."""
    return [Passage("", " ".join([str(i), *(SENTENCE * words).split()[: words - 1]])) for i in range(count)]


def prompt_tokens(chat: Chat) -> int:
    """Estimate the tokens of a chat, with five for the frame of each turn."""
    return sum(len(one["content"]) // CHARACTERS_PER_TOKEN + 5 for one in chat.messages)


def asked(spec: ListwiseSpec, depth: int, words: int, generator: LocalGenerator | None) -> tuple[int, int]:
    """Sort once; return the number of requests and the tokens of their prompts. None as a generator costs nothing."""
    sorting, requests, tokens, answer = sort_windows(QUERY, passages(depth, words), spec, "dear"), 0, 0, None
    while True:
        try:
            chat = next(sorting) if answer is None else sorting.send(answer)
        except StopIteration:
            return requests, tokens
        requests, tokens = requests + 1, tokens + prompt_tokens(chat)
        answer = Answer("") if generator is None else generator.answer(chat, seconds=600)


def row(path: str, depth: int, words: int, queries: int) -> str:
    """Return the figures of one depth: in the modes direct and first-token."""
    figures = []
    modes: tuple[ListwiseMode, ...] = ("direct", "first-token")
    for mode in modes:
        spec = ListwiseSpec(model=path, depth=depth, mode=mode, device="cpu")
        requests, prompts = asked(spec, depth, words, None)
        generator, times = load_local(spec), []
        for _ in range(queries):
            started = time.perf_counter()
            asked(spec, depth, words, generator)
            times.append(time.perf_counter() - started)
        # An order has about five tokens for each passage of a window.
        generated = requests * 5 * min(depth, spec.window) if mode == "direct" else 0
        figures.append((requests, prompts, generated, statistics.median(times)))
    (requests, prompts, generated, direct), (_, _, _, first) = figures
    return f"{depth:>5} {requests:>9} {prompts:>14} {generated:>17} {direct:>10.2f} {first:>15.2f}"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=60, help="words of a passage")
    parser.add_argument("--queries", type=int, default=3, help="queries of each depth and mode")
    options = parser.parse_args()
    out = sys.stdout.write
    out("depth  requests  prompt tokens  generated tokens  direct, s  first-token, s\n")
    with tempfile.TemporaryDirectory() as folder:
        base, _ = build_tiny_generator(Path(folder), positions=16_384)
        for depth in DEPTHS:
            out(row(str(base), depth, options.words, options.queries) + "\n")


if __name__ == "__main__":
    main()
