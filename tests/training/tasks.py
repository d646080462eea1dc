"""A task made up so that BM25 fails and a tiny model can learn it.

Every passage about a query's thing has the same words of the query; the irrelevant ones repeat them, which BM25
rewards, and only the relevant ones say `verified`.
"""

from __future__ import annotations

import json
import random

FILLING = ["path", "string", "value", "list", "object", "module", "function", "return", "name", "type"]
THINGS = [f"{first} {second}" for first in FILLING for second in FILLING if first != second]


def lists(count, *, seed, irrelevant=4, begin=0):
    """Labelled candidate lists in the order that BM25 would give."""
    chance = random.Random(seed)
    for number in range(begin, begin + count):
        thing = THINGS[number % len(THINGS)]

        def passage(docid, label, times, thing=thing):
            rest = chance.choices(FILLING, k=chance.randint(3, 9))
            words = [*([thing] * times), "verified" if label else "unknown", *rest]
            chance.shuffle(words)
            return {"docid": docid, "label": label, "title": "", "text": " ".join(words)}

        wrong = [passage(f"{number}-{at}", 0, 3) for at in range(irrelevant)]
        yield {
            "query_id": str(number),
            "query": f"{thing} {number}",
            "candidates": [*wrong, passage(f"{number}-right", 1, 1)],
        }


def write(path, found):
    """Write JSON lines."""
    path.write_text("".join(json.dumps(one) + "\n" for one in found), encoding="utf-8")
    return path
