"""An OpenSearch of documents that are hard to show: markup, scripts, other scripts of writing, one very long passage.

The fake scorer reads the score off a text.
"""

from __future__ import annotations

import json

from tests.support.servers.hits import answer

HITS = 100
SCRIPT = "<script>document.title = 'run'</script>"
IMAGE = "<img src=x onerror=\"document.title = 'run'\"><b>bold</b> fox score 60"
SPECIAL = {
    1: (SCRIPT, IMAGE),
    2: ("ثعلب سريع بني", "الثعلب البني السريع يقفز فوق الكلب الكسول score 20"),
    3: ("A very long passage", "The fox runs on. " * 3_000 + "score 40"),
    4: ("", "A passage without a title, about a fox. score 10"),
    5: ("שועל חום מהיר", "השועל קופץ מעל הכלב fox score 30"),
    7: ("Two sentences", "🦊🦊 run. Another 🦊 fox score 45"),
    6: ("Averylongwordwithoutanybreak" * 20, "fox score 55"),
}


def document(i):
    """The title and the text of the document at a place of the first stage, from 0."""
    model = (i * 37) % 101 - 50
    return SPECIAL.get(i, (f"Foxes, part {i}", f"The quick fox number {i} jumps over a lazy dog. score {model}"))


def model_score(i):
    return float(document(i)[1].rpartition("score ")[2])


def hit(i):
    title, text = document(i)
    found = {"_index": "docs", "_id": f"d{i}", "_score": 20 - i / 8, "_source": {"title": title, "text": text}}
    if i == 0:
        found["highlight"] = {"text": ["The quick <em>fox</em> & <i>others</i>"]}
    return found


def library(request):
    """Answer one request of a stub's."""
    head, _, body = request.partition(b"\r\n\r\n")
    path = head.split(b" ")[1].split(b"?")[0]
    if path.startswith(b"/_resolve/index/"):
        return answer(
            200, json.dumps({"indices": [{"name": "docs"}, {"name": ".tasks"}], "aliases": [{"name": "all"}]})
        )
    if not path.endswith(b"_search"):
        return answer(200, "{}")
    search = json.loads(body or b"{}")
    words = json.dumps(search.get("query", ""))
    if "refused" in words:
        return answer(400, json.dumps({"error": {"type": "x", "reason": "this query is refused"}, "status": 400}))
    if "forbidden" in words:
        return answer(401, "Unauthorized")
    count = 0 if "nothing" in words else HITS
    start, size = search.get("from", 0), search.get("size", 10)
    hits = [hit(i) for i in range(start, min(start + size, count))]
    found = {"total": {"value": count, "relation": "eq"}, "max_score": 20.0, "hits": hits}
    shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
    return answer(200, json.dumps({"took": 1, "timed_out": False, "_shards": shards, "hits": found}))
