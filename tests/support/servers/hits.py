"""An OpenSearch of 120 hits without an OpenSearch: answers searches by their `from` and `size`, from memory."""

from __future__ import annotations

import json

HITS = 120


def text(i):
    """The fake scorer reads the score off the text: the first stage's order is not the model's."""
    return f"score {(i * 37) % 101 - 50}"


def by_model(window=100):
    """The ids in the order that a reranking of the window gives, ties in first-stage order."""
    order = sorted(range(window), key=lambda i: (-((i * 37) % 101 - 50), i))
    return [str(i) for i in order] + [str(i) for i in range(window, HITS)]


def hit(i):
    return f'{{"_index":"docs","_id":"{i}","_score":{HITS - i}.5,"_source":{{"text":"{text(i)}","price":0.10}}}}'


def response(body):
    start, size = body.get("from", 0), body.get("size", 10)
    found = ",".join(hit(i) for i in range(start, min(start + size, HITS)))
    return (
        '{"took":3,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},'
        f'"hits":{{"total":{{"value":{HITS},"relation":"eq"}},"max_score":{HITS}.5,"hits":[{found}]}}}}'
    )


def opensearch(request):
    """Answer one request of the stub's: a search, several, or anything else."""
    try:
        return answered(request)
    except ValueError:
        return answer(400, '{"error":{"root_cause":[],"type":"x_content_parse_exception","reason":"no"},"status":400}')


def answered(request):
    head, _, body = request.partition(b"\r\n\r\n")
    path = head.split(b" ")[1].split(b"?")[0]
    if path.endswith(b"_msearch"):
        lines = body.rstrip(b"\n").split(b"\n")[1::2]
        each = ",".join(response(json.loads(line))[:-1] + ',"status":200}' for line in lines)
        return answer(200, f'{{"took":4,"responses":[{each}]}}')
    if not path.endswith(b"_search"):
        return answer(200, '{"acknowledged":true}')
    search = json.loads(body or b"{}")
    if "broken" in json.dumps(search.get("query", "")):
        return answer(
            400, '{"error":{"root_cause":[{"type":"parsing_exception","reason":"no"}],"type":"x"},"status":400}'
        )
    return answer(200, response(search))


def answer(status, text):
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json; charset=UTF-8\r\nx-from: opensearch\r\n"
    return f"{head}content-length: {len(text)}\r\n\r\n{text}".encode()
