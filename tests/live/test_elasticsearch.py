"""Elasticsearch 8 and 9 as the first stage: their own servers, behind an HTTP port of ours (`elasticsearch_node`)."""

from __future__ import annotations

import json
import uuid

import pytest

from connectors.opensearch import RerankingClient
from connectors.opensearch.admin.bulk import IndexOptions, load
from connectors.opensearch.admin.cluster_info import cluster_info, index_state, size
from connectors.opensearch.transport import connect
from sidecar.core.corpus import Document
from sidecar.core.errors import EngineRejected, IndexNotFound
from tests.support.rerankers import ByLength
from tests.support.servers.searches import outcome
from tests.support.servers.served import served

DOCUMENTS = [Document(f"d{i:02}", f"Title {i}", "fox " + "filler " * i + f"score {i}") for i in range(1, 31)]
BY_BM25 = [document.docid for document in DOCUMENTS]
COMPATIBLE = "application/vnd.elasticsearch+json; compatible-with={}"


@pytest.fixture(scope="module")
def client(elasticsearch_url):
    made = connect(elasticsearch_url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def index(client):
    name = f"foxes-{uuid.uuid4().hex[:8]}"
    load(client, name, DOCUMENTS, options=IndexOptions(analyzer="standard"))
    yield name
    client.indices.delete(index=name)


@pytest.fixture(scope="module")
def service(elasticsearch_url):
    with served(elasticsearch_url) as running:
        yield running


@pytest.fixture
def headers(client):
    """The headers that a client of this version of Elasticsearch sends."""
    said = COMPATIBLE.format(client.info()["version"]["number"].partition(".")[0])
    return {"content-type": said, "accept": said}


def body(**members):
    return {"query": {"match": {"text": "fox"}}, "ext": {"rerank": {}}, **members}


def ids(answer):
    return [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]]


def test_the_product_and_its_version_are_known(client, index):
    found = cluster_info(client, index)
    assert (found.product, found.version.split(".")[0] in {"8", "9"}, found.searches) == ("Elasticsearch", True, True)
    assert size(client, index) == 30
    assert index_state(client, index) is not None


def test_the_service_names_it(service):
    about = json.loads(service.ask("GET", "/_sidecar/status").body)["opensearch"]
    assert about["about"].startswith("rerank-sidecar-test (elasticsearch ")


def test_a_search_through_the_client_is_reranked(client, index):
    found = RerankingClient(client, ByLength(), window=20).search(index=index, body=body(size=5))
    assert [hit["_id"] for hit in found["hits"]["hits"]] == BY_BM25[19:14:-1]


def test_a_clients_request_and_the_answer_keep_their_form(service, index, headers):
    answer = service.ask("POST", f"/{index}/_search", json.dumps(body(size=5)).encode(), headers)
    assert (answer.status, outcome(answer)) == (200, ("applied", ""))
    assert ids(answer) == BY_BM25[:24:-1]
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    assert answer.headers["content-type"].replace(" ", "") == headers["accept"].replace(" ", "")


def test_a_body_in_the_url_is_reranked_for_a_client_that_names_a_version(service, index, headers):
    source = json.dumps(body(size=5)).replace(" ", "").replace('"', "%22")
    target = f"/{index}/_search?source={source}&source_content_type=application/json"
    answer = service.ask("GET", target, None, {"accept": headers["accept"]})
    assert (answer.status, outcome(answer)) == (200, ("applied", ""))
    assert ids(answer) == BY_BM25[:24:-1]


def test_pages_highlights_and_sources_are_those_of_the_hits(service, index):
    search = body(size=3, highlight={"fields": {"text": {}}}, _source=["title"])
    pages = [service.search(index, {**search, "from": start}) for start in (0, 3)]
    assert [one for page in pages for one in ids(page)] == BY_BM25[:23:-1]
    (first, *_) = json.loads(pages[0].body)["hits"]["hits"]
    assert first["_source"] == {"title": "Title 30"}
    assert "<em>fox</em>" in first["highlight"]["text"][0]


def test_several_searches_in_one_request_are_reranked(service, index, headers):
    lines = [{}, body(size=2), {}, {"query": {"match_all": {}}, "size": 1}]
    sent = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    kinds = {name: value.replace("+json", "+x-ndjson") for name, value in headers.items() if name == "content-type"}
    answer = service.ask("POST", f"/{index}/_msearch", sent, {**headers, **kinds})
    first, second = json.loads(answer.body)["responses"]
    assert [hit["_id"] for hit in first["hits"]["hits"]] == ["d30", "d29"]
    assert [hit["_id"] for hit in second["hits"]["hits"]] == ["d01"]


def test_a_window_that_the_index_refuses_becomes_smaller(client, service, index):
    client.indices.put_settings(index=index, body={"index": {"max_result_window": 20}})
    try:
        answer = service.search(index, body(size=5))
        assert (outcome(answer), ids(answer)) == (("applied", ""), BY_BM25[19:14:-1])
    finally:
        client.indices.put_settings(index=index, body={"index": {"max_result_window": None}})


@pytest.mark.parametrize(
    ("member", "value", "hits", "reason"),
    [
        ("retriever", {"standard": {"query": {"match": {"text": "fox"}}}}, BY_BM25[:5], "a retriever ranks"),
        ("knn", {"field": "v", "query_vector": [1.0], "k": 3, "num_candidates": 3}, [], "knn adds"),
    ],
)
def test_what_ranks_by_itself_passes_with_the_reason(service, index, member, value, hits, reason):
    search = {member: value, "size": 5, "ext": {"rerank": {"query_context": {"query_text": "fox"}}}}
    answer = service.search(index, search)
    assert (answer.status, outcome(answer)[0], ids(answer)) == (200, "skipped", hits)
    assert outcome(answer)[1].startswith(reason)


def test_a_search_that_it_refuses_is_refused_in_its_own_words(service, index):
    answer = service.search(index, body(query={"nonsense": {}}))
    assert (answer.status, outcome(answer)[0]) == (400, "skipped")
    assert json.loads(answer.body)["error"]["root_cause"][0]["type"] == "parsing_exception"


def test_a_missing_index_is_named(client):
    with pytest.raises(IndexNotFound, match="nowhere"):
        RerankingClient(client, ByLength()).search(index="nowhere", body=body())


def test_a_search_pipeline_is_refused_as_it_has_none(client, index):
    with pytest.raises(EngineRejected, match="search_pipeline"):
        RerankingClient(client, ByLength()).search(index=index, body=body(), params={"search_pipeline": "x"})


def test_the_commands_take_it_as_their_first_stage(run, elasticsearch_url, index, tmp_path):
    where = ("--url", elasticsearch_url, "--index", index)
    (tmp_path / "topics.tsv").write_text("1\tfox\n2\tscore 7\n")
    (tmp_path / "qrels.txt").write_text("1 0 d01 1\n2 0 d07 1\n")
    _, found, _ = run("doctor", *where, "--json")
    (engine,) = [one["found"] for one in json.loads(found)["findings"] if one["name"] == "OpenSearch"]
    assert engine.startswith("Elasticsearch ")
    status, found, _ = run("search", "score 7", *where, "--hits", 3, "--format", "json")
    assert (status, json.loads(found)["hits"]["hits"][0]["_id"]) == (0, "d07")
    assert run("run", "--topics", "topics.tsv", *where, "--output", "out.trec")[0] == 0
    assert (tmp_path / "out.trec").read_text().splitlines()[30].startswith("2 Q0 d07 1 ")
    sweep = ("--topics", "topics.tsv", "--qrels", "qrels.txt", "--output", "swept", "--windows", 10)
    assert run("sweep", *sweep, *where)[0] == 0
    status, _, said = run("install-pipeline", "--url", elasticsearch_url, "--sidecar-url", "http://127.0.0.1:9281")
    assert status == 1
    assert "Elasticsearch has no such plugins" in said
