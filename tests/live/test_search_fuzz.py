"""Made-up search bodies, through the sidecar and to OpenSearch itself: the same status, and of a 200 the same hits.

`make fuzz` sends thousands: `SIDECAR_TEST_FUZZ` is how many for each endpoint of the API, and five times as many here.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.live.foxes import DOCS
from tests.support.servers.served import Reply, ask, served

pytestmark = pytest.mark.live

EXAMPLES = 5 * int(os.environ.get("SIDECAR_TEST_FUZZ", "12"))
JSON = {"content-type": "application/json"}
RERANK = '"rerank"'

words = st.sampled_from(
    ["fox", "x", "t1", "fox fox", "", "\u00e9 \u6f22", "\x00", "\U0001f98a", "_score", "1e999", "*"]
)
fields = st.sampled_from(["text", "title", "hidden", "tag", "docno", "big", "_id", "nowhere", "text.sub", "", "*"])
numbers = st.sampled_from([0, 1, 3, 10, 99, 130, 10_000, 10_001, 2**31, 2**63, 10**25, -1, 2.7, -0.0, 1e308])
scalars = st.one_of(words, numbers, st.booleans(), st.none())
garbage = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8
)


def one_key(name, value):
    return value.map(lambda it: {name: it})


leaves = st.one_of(
    one_key("match", st.dictionaries(fields, words | garbage, min_size=1, max_size=1)),
    one_key("match_phrase", st.dictionaries(fields, words, min_size=1, max_size=1)),
    one_key("multi_match", st.fixed_dictionaries({"query": words, "fields": st.lists(fields, max_size=3)})),
    one_key("term", st.dictionaries(fields, scalars, min_size=1, max_size=2)),
    one_key("terms", st.dictionaries(fields, st.lists(scalars, max_size=3), min_size=1, max_size=1)),
    one_key("range", st.dictionaries(fields, st.fixed_dictionaries({"gte": scalars}), min_size=1, max_size=1)),
    one_key("query_string", st.fixed_dictionaries({"query": words})),
    one_key("ids", st.fixed_dictionaries({"values": st.lists(words | numbers, max_size=3)})),
    st.just({"match_all": {}}),
    st.just({"match": {"text": "fox"}}),
    garbage,
)
occurrences = st.sampled_from(["must", "should", "filter", "must_not"])
queries = st.recursive(
    leaves,
    lambda inner: st.one_of(
        one_key("bool", st.dictionaries(occurrences, st.lists(inner, max_size=3) | inner)),
        one_key("constant_score", st.fixed_dictionaries({"filter": inner})),
        one_key("dis_max", st.fixed_dictionaries({"queries": st.lists(inner, max_size=2)})),
        one_key("function_score", st.fixed_dictionaries({"query": inner}, optional={"boost": numbers})),
    ),
    max_leaves=6,
)  # fmt: skip
sorts = st.one_of(
    st.lists(st.sampled_from(["_score", "docno", {"docno": "asc"}, {"_score": "asc"}, {"nowhere": {}}]), max_size=2),
    garbage,
)
valid_terms = st.fixed_dictionaries(
    {},
    optional={
        "query_context": st.fixed_dictionaries({"query_text": st.sampled_from(["fox", "x \u6f22"])}),
        "window": st.sampled_from([1, 7, 50, 200]),
        "explain": st.booleans(),
        "timeout_ms": st.sampled_from([1000, 20_000]),
        "fusion": st.sampled_from(["rrf", "linear", "rerank"]),
    },
)
odd_terms = st.one_of(
    valid_terms, garbage, st.dictionaries(st.sampled_from(["window", "model", "query_context"]), garbage)
)
parts = {
    "from": numbers | scalars, "size": numbers | scalars, "sort": sorts, "min_score": scalars, "explain": scalars,
    "track_total_hits": scalars, "_source": garbage | st.just(False) | st.just(["docno"]), "stored_fields": garbage,
    "highlight": st.just({"fields": {"text": {}}}) | garbage,
    "aggs": st.just({"a": {"terms": {"field": "tag"}}}) | garbage,
    "post_filter": queries, "search_after": st.lists(scalars, max_size=2),
    "collapse": st.just({"field": "docno"}) | garbage,
    "rescore": garbage, "suggest": garbage, "profile": scalars, "version": scalars, "timeout": words, "fields": garbage,
    "docvalue_fields": st.just(["tag"]) | garbage, "search_pipeline": scalars, "terminate_after": numbers,
    "unknown": garbage,
}  # fmt: skip


@st.composite
def searches(draw, terms=valid_terms):
    """A search body's bytes, and the same without what is ours."""
    own = draw(st.fixed_dictionaries({"query": queries}, optional=parts))
    # Most searches are small variations of sound ones: those go deepest.
    if draw(st.booleans()):
        keep = draw(st.lists(st.sampled_from(sorted(parts)), max_size=2))
        own = {name: value for name, value in own.items() if name in keep} | {"query": draw(st.sampled_from(SOUND))}
    ours = {**own, "ext": {"rerank": draw(terms)}}
    return json.dumps(ours).encode(), json.dumps(own).encode()


SOUND = [
    {"match": {"text": "fox"}},
    {"bool": {"should": [{"match": {"text": "fox"}}, {"match": {"hidden": "fox"}}]}},
    {"multi_match": {"query": "fox", "fields": ["text", "hidden"]}},
    {"bool": {"must": {"match": {"hidden": "fox"}}, "filter": {"term": {"tag": "t1"}}}},
]


@st.composite
def broken(draw):
    """A sound body, its bytes tampered with: cut, doubled, or with something in between."""
    body, _ = draw(searches())
    at = draw(st.integers(0, len(body)))
    return draw(
        st.sampled_from([
            body[:at],
            body + body,
            body[:at] + draw(st.binary(max_size=4)) + body[at:],
            b'{"query":{"match_all":{}},' + body[1:],
            b'{"ext":{"rerank":{}},' + body[1:],
            b'{"query":' + b'{"bool":{"must":' * at + b"{}" + b"}}" * at + b',"ext":{"rerank":{}}}',
            b"[" * (at * 10) + body,
            b"\xef\xbb\xbf" + body,
            body.decode().encode("utf-16"),
        ])
    )  # fmt: skip


@pytest.fixture(scope="module")
def service(opensearch_url):
    with served(opensearch_url, breaker_failures=10_000) as running:
        yield running


def quiet(examples=EXAMPLES):
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=EXAMPLES < 1000,
        suppress_health_check=list(HealthCheck),
    )


def both(service, opensearch_url, index, ours, own):
    """Both answers; a body so deep that OpenSearch drops the connection (1000 queries in one another) is a 502."""
    through = service.ask("POST", f"/{index}/_search", ours, JSON, timeout=20)
    try:
        return through, ask(opensearch_url, "POST", f"/{index}/_search", own, JSON, timeout=20)
    except http.client.RemoteDisconnected:
        return through, Reply(502, {}, b"")


def hits(answer):
    return Counter(hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"])


def page(own):
    """Where in the list the page is, if the body says so soundly."""
    search = json.loads(own)
    return int(search.get("from") or 0), int(search["size"] if search.get("size") is not None else 10)


def check_hits(service, opensearch_url, index, through, direct, own):
    """The same hits: exactly those of a page in first-stage order, and of a reranked one, those of the whole window."""
    if through.headers.get("x-rerank-status") != "applied":
        assert hits(through) == hits(direct)
        return
    start, size = page(own)
    window = json.loads(own) | {"from": 0, "size": max(200, start + size)}
    whole = hits(ask(opensearch_url, "POST", f"/{index}/_search", json.dumps(window).encode(), JSON))
    assert hits(through).total() == hits(direct).total()
    assert hits(through) <= whole
    if start == 0 and size >= DOCS:
        assert hits(through) == hits(direct)


def test_sound_terms_change_neither_the_status_nor_the_hits(service, opensearch_url, index):
    seen = Counter()

    @quiet()
    @given(searches())
    def run(made):
        ours, own = made
        through, direct = both(service, opensearch_url, index, ours, own)
        assert through.status == direct.status, (through.body[:500], through.headers, direct.body[:500])
        seen[through.status, through.headers.get("x-rerank-status")] += 1
        if direct.status == 200:
            check_hits(service, opensearch_url, index, through, direct, own)

    run()
    # The searches that were made are of both kinds, so that the comparison says something.
    assert seen[200, "applied"] >= EXAMPLES / 10
    assert sum(count for (status, _), count in seen.items() if status == 400) >= EXAMPLES / 10


def test_terms_that_make_no_sense_are_refused_or_harmless(service, opensearch_url, index):
    @quiet()
    @given(searches(odd_terms))
    def run(made):
        ours, own = made
        through, direct = both(service, opensearch_url, index, ours, own)
        if through.status == 400 and re.search(rb"ext\.rerank|no model", through.body):
            return
        assert through.status == direct.status, (through.body[:500], through.headers, direct.body[:500])
        if direct.status == 200:
            check_hits(service, opensearch_url, index, through, direct, own)

    run()


def test_bodies_that_are_broken_meet_opensearchs_own_refusal(service, opensearch_url, index):
    @quiet()
    @given(broken())
    def run(body):
        through, direct = both(service, opensearch_url, index, body, body)
        # OpenSearch itself refuses every ext.rerank (it is the sidecar's), so ours may answer where it does not; and as
        # it answers the body without it, wrong as that may be (2.19.1 has a 500 for an empty collapse).
        refused = direct.status == 400 and b"named object" in direct.body
        if through.status != direct.status and not (refused and through.status == 200):
            _, direct = both(service, opensearch_url, index, body, without_terms(body) if refused else body)
            assert through.status == direct.status, (body, through.body[:500], direct.body[:500])

    run()


def without_terms(body):
    """The body less its ext, as the sidecar passes it on; one that is no JSON to Python stays as it is."""
    try:
        search = json.loads(body)
    except ValueError:
        return body
    return json.dumps({name: value for name, value in search.items() if name != "ext"}).encode()
