"""A task made up so that BM25 fails and a tiny model can learn it.

Every passage about a query's thing names it; the irrelevant ones name it three times, which BM25 rewards, and only the
relevant one, which names it once, says `verified`.
"""

from __future__ import annotations

import json
import random

FILLING = ["path", "string", "value", "list", "object", "module", "function", "return", "name", "type"]


def lists(count, *, seed, irrelevant=4, begin=0):
    """Labelled candidate lists in BM25's order."""
    chance = random.Random(seed)
    for number in range(begin, begin + count):
        thing = f"thing{number}"

        def passage(docid, label, times, thing=thing):
            words = [*([thing] * times), "verified" if label else "unknown", *chance.choices(FILLING, k=9 - times)]
            chance.shuffle(words)
            return {"docid": docid, "label": label, "title": "", "text": " ".join(words)}

        wrong = [passage(f"{number}-{at}", 0, 3) for at in range(irrelevant)]
        right = passage(f"{number}-right", 1, 1)
        yield {"query_id": str(number), "query": f"about {thing}", "candidates": [*wrong, right]}


def collection(folder, *, train, test):
    """Write a corpus, and topics and qrels to train and to test with, by the names that docs/TRAINING.md gives them."""
    lines = list(lists(train + test, seed=1))
    documents = [{"_id": one["docid"], "text": one["text"]} for line in lines for one in line["candidates"]]
    write(folder / "corpus.jsonl", documents)
    for name, part in (("train", lines[:train]), ("test", lines[train:])):
        (folder / f"{name}.tsv").write_text("".join(f"{line['query_id']}\t{line['query']}\n" for line in part))
        judged = [(line["query_id"], one["docid"]) for line in part for one in line["candidates"] if one["label"]]
        (folder / f"{name}-qrels.tsv").write_text("".join(f"{qid} 0 {docid} 1\n" for qid, docid in judged))


def write(path, found):
    """Write JSON lines."""
    path.write_text("".join(json.dumps(one) + "\n" for one in found), encoding="utf-8")
    return path
