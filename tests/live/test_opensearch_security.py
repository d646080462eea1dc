"""The security plugin over TLS: the connector sees what its account may see, and needs no other right than `read`."""

from __future__ import annotations

import base64
import json

import pytest

from connectors.opensearch.admin.cluster_info import cluster_info
from connectors.opensearch.auth import Access
from connectors.opensearch.client import RerankingClient
from connectors.opensearch.connector import SearchRequest
from connectors.opensearch.transport import connect
from sidecar.cli.main import main
from sidecar.core.errors import EngineRejected, EngineUnreachable
from tests.support.live.foxes import direct, hits, ids, without_took
from tests.support.live.opensearch_plugins import make_certificate, token
from tests.support.rerankers import Identity
from tests.support.servers.rerank_server import rerank_pipeline, rerank_server
from tests.support.servers.scripted import FAKE
from tests.support.servers.served import served

pytestmark = pytest.mark.live

PASSWORD = "kuPf3r-Ätna-ž9:x"
QUERY = {"match": {"text": "fox"}}
# Finds documents by a field that everybody may see, those without a text for ada among them.
EITHER = {"multi_match": {"query": "fox", "fields": ["text", "tag"]}}
ROLE = {
    "index_permissions": [
        {
            "index_patterns": ["library"],
            "allowed_actions": ["read"],
            "dls": json.dumps({"term": {"shelf": "open"}}),
            "fls": ["~body"],
        },
        {"index_patterns": ["reranked"], "allowed_actions": ["read"]},
        {"index_patterns": ["headlines"], "allowed_actions": ["read"], "fls": ["~story"]},
    ],
    # For OpenSearch's own rerank processor, which asks in the caller's name, and for `_msearch`.
    "cluster_permissions": ["cluster:admin/opensearch/ml/predict", "indices:data/read/msearch"],
}


def document(i):
    """Every third lies on a closed shelf; what every fifth has to say is in `body` alone, which ada may not see."""
    said = {"body": "fox whispered"} if i % 5 == 0 else {"text": "fox " * (1 + i % 4), "body": "fox whispered"}
    return {"shelf": "closed" if i % 3 == 0 else "open", "tag": "fox", **said}


@pytest.fixture(scope="module")
def node(secure_node):
    ask = secure_node.ask
    for index in ("library", "vault"):
        ask("PUT", index, {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
        for i in range(60):
            ask("PUT", f"{index}/_doc/{i}", document(i))
        ask("POST", f"{index}/_refresh")
    api = "_plugins/_security/api"
    ask("PUT", f"{api}/internalusers/ada", {"password": PASSWORD})
    ask("PUT", f"{api}/roles/reader", ROLE)
    ask("PUT", f"{api}/rolesmapping/reader", {"users": ["ada"]})
    # It gives every account more than `read`.
    ask("DELETE", f"{api}/rolesmapping/own_index")
    return secure_node


@pytest.fixture
def access(node):
    return Access(user="ada", password=PASSWORD, ca_certs=str(node.login.ca))


@pytest.fixture
def ada(node, access):
    client = connect(node.url, access)
    yield client
    client.close()


@pytest.fixture
def reranking(ada):
    return RerankingClient(ada, Identity(), window=50)


OPEN = {str(i) for i in range(60) if i % 3}


@pytest.mark.parametrize(
    "body",
    [
        {"query": EITHER},
        {"query": EITHER, "_source": ["tag"]},
        {"query": EITHER, "_source": False, "fields": ["tag"]},
        {"query": EITHER, "stored_fields": [], "aggs": {"shelves": {"terms": {"field": "shelf.keyword"}}}},
        {"query": {"bool": {"should": [QUERY, {"match": {"body": "fox"}}]}}},
    ],
)
def test_an_account_gets_the_very_hits_of_its_own_search(reranking, ada, body):
    answer = reranking.rerank(SearchRequest("library", {**body, "size": 50}))
    assert answer.skipped is None
    own = direct(ada, "library", {**body, "size": 50})
    assert hits(answer.body) == hits(own)
    assert json.loads(answer.body)["hits"]["total"] == json.loads(own)["hits"]["total"]
    assert json.loads(answer.body).get("aggregations") == json.loads(own).get("aggregations")


@pytest.mark.parametrize("source", [True, False, ["tag"], {"excludes": ["text"]}])
def test_hidden_documents_are_no_candidates_and_hidden_fields_no_passages(reranking, source):
    reranking.search(index="library", body={"query": EITHER, "_source": source})
    seen = {candidate.docid: candidate.passage.text for candidate in reranking.reranker.seen}
    assert set(seen) == OPEN
    # What a document says in `body` alone stays hidden, through `_source` and through borrowed `fields`.
    assert {docid: text.strip() for docid, text in seen.items()} == {
        docid: document(int(docid)).get("text", "").strip() for docid in OPEN
    }


def test_the_administrator_sees_what_ada_does_not(node):
    admin = connect(node.url, Access(user="admin", password="admin", ca_certs=str(node.login.ca)))
    reranker = Identity()
    RerankingClient(admin, reranker).search(index="library", body={"query": EITHER, "_source": False})
    assert len(reranker.seen) == 60
    assert {"fox whispered"} == {c.passage.text for c in reranker.seen if int(c.docid) % 5 == 0}


@pytest.fixture
def headlines(node):
    """An index without the default fields, of whose text fields ada may see one."""
    for i in range(3):
        node.ask("PUT", f"headlines/_doc/{i}?refresh=true", {"headline": f"fox {i}", "story": "fox whispered"})
    yield "headlines"
    node.ask("DELETE", "headlines")


def test_the_right_to_read_is_enough_to_find_the_text_fields_and_shows_no_hidden_one(reranking, headlines):
    answer = reranking.rerank(SearchRequest(headlines, {"query": {"match": {"headline": "fox"}}}))
    said = "headlines has none of the default text fields; read are those of its mapping: headline"
    assert (answer.skipped, answer.warning, answer.fields) == (None, said, ("headline",))
    assert sorted(candidate.passage.text for candidate in reranking.reranker.seen) == ["fox 0", "fox 1", "fox 2"]


@pytest.fixture
def reranked(node):
    """An index whose own pipeline reranks, which ada may search, and whose settings she may not read."""
    with rerank_server() as server:
        node.ask("PUT", "_search/pipeline/rr", rerank_pipeline(node.ask, server))
        settings = {"number_of_shards": 1, "number_of_replicas": 0, "search.default_pipeline": "rr"}
        node.ask("PUT", "reranked", {"settings": {"index": settings}})
        for i in range(9):
            node.ask("PUT", f"reranked/_doc/{i}", document(i))
        node.ask("POST", "reranked/_refresh")
        yield "reranked"
        node.ask("DELETE", "reranked")


def test_a_pipeline_this_account_may_not_see_gets_its_ext_in_the_end(reranking, ada, reranked):
    body = {"query": QUERY, "size": 5, "ext": {"rerank": {"query_context": {"query_text": "fox"}}}}
    answer = reranking.rerank(SearchRequest(reranked, body))
    assert answer.skipped == "its search pipeline takes ext.rerank for itself"
    assert without_took(answer.body) == without_took(direct(ada, reranked, body))
    assert reranking.rerank(SearchRequest(reranked, body, {"search_pipeline": "_none"})).skipped is None


@pytest.mark.parametrize("index", ["vault", "library,vault", "lib*,vau*", "*"])
def test_a_forbidden_index_is_refused_as_opensearch_refuses_it(reranking, ada, index):
    with pytest.raises(EngineRejected) as caught:
        reranking.search(index=index, body={"query": QUERY})
    assert caught.value.status == 403
    assert "no permissions for [indices:data/read/search]" in caught.value.message
    with pytest.raises(EngineRejected) as own:
        RerankingClient(ada, None).search(index=index, body={"query": QUERY, "size": 0})
    assert caught.value.body == own.value.body
    assert PASSWORD not in str(caught.value)


def test_of_several_searches_the_forbidden_one_fails_alone(reranking, ada):
    lines = [{"index": "library"}, {"query": EITHER}, {"index": "vault"}, {"query": EITHER}]
    fine, forbidden = reranking.msearch(body=lines)["responses"]
    assert fine["hits"]["hits"] == reranking.search(index="library", body={"query": EITHER})["hits"]["hits"]
    assert forbidden == ada.msearch(body=lines)["responses"][1]
    assert forbidden["status"] == 403


@pytest.fixture
def lenient(node):
    """A cluster that leaves forbidden indices out of a search instead of refusing it."""
    api = "_plugins/_security/api/securityconfig"
    dynamic = node.ask("GET", api)["config"]["dynamic"]
    node.ask("PUT", f"{api}/config", {"dynamic": {**dynamic, "do_not_fail_on_forbidden": True}})
    yield
    node.ask("PUT", f"{api}/config", {"dynamic": dynamic})


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("index", ["library,vault", "lib*,vau*", "*"])
def test_forbidden_indices_that_opensearch_leaves_out_are_left_out(reranking, ada, index):
    body = {"query": QUERY, "size": 50}
    answer = reranking.rerank(SearchRequest(index, body))
    assert answer.skipped is None
    assert hits(answer.body) == hits(direct(ada, index, body))
    assert {candidate.docid for candidate in reranking.reranker.seen} == {i for i in OPEN if int(i) % 5}


def test_a_wrong_password_and_none_are_said_to_be_that(node, access):
    for way_in in (Access(user="ada", password="wr0ng", ca_certs=access.ca_certs), Access(ca_certs=access.ca_certs)):
        with pytest.raises(EngineRejected, match="OpenSearch answered 401: Unauthorized") as caught:
            RerankingClient(connect(node.url, way_in), None).search(index="library", body={"query": QUERY})
        assert caught.value.body == b"Unauthorized"
        assert "wr0ng" not in str(caught.value)
        assert "user name and password" in caught.value.remedy


def found_with(url, access):
    return ids(RerankingClient(connect(url, access), Identity()).search(index="library", body={"query": QUERY}))


def test_a_token_and_a_client_certificate_are_ways_in_too(node, access):
    folder = node.login.folder
    make_certificate(folder, "ada", "ada")
    expected = found_with(node.url, access)
    assert len(expected) == 10
    ca = str(node.login.ca)
    assert found_with(node.url, Access(token=token("ada"), ca_certs=ca)) == expected
    certificate = Access(client_cert=str(folder / "ada.pem"), client_key=str(folder / "ada-key.pem"), ca_certs=ca)
    assert found_with(node.url, certificate) == expected
    assert found_with(node.url, Access(user="ada", password=PASSWORD, verify_certs=False)) == expected
    with pytest.raises(EngineRejected, match="answered 401"):
        found_with(node.url, Access(token="not.a.token", ca_certs=ca))


def test_an_unknown_authority_is_named_as_the_fault(node):
    with pytest.raises(EngineUnreachable, match="no secure connection to OpenSearch at https://127") as caught:
        found_with(node.url, Access(user="ada", password=PASSWORD))
    assert "ca_certs" in caught.value.remedy
    assert PASSWORD not in str(caught.value)


def test_http_to_a_port_with_tls_is_no_connection(node):
    with pytest.raises(EngineUnreachable, match="no connection to OpenSearch"):
        found_with(node.url.replace("https", "http"), Access(user="ada", password=PASSWORD))


def test_a_read_only_account_is_probed(ada):
    found = cluster_info(ada, "library")
    assert (found.version, found.plugins, found.searches) == (None, None, True)
    assert cluster_info(ada, "vault").searches is False


def test_the_doctor_takes_a_read_only_account(node, access, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIDECAR_OPENSEARCH_PASSWORD", PASSWORD)
    words = ["doctor", "--json", "--device", "cpu", "--url", node.url]
    words += ["--opensearch-user", "ada", "--opensearch-ca-certs", access.ca_certs]
    for index, status, found in (
        ("library", 0, "version hidden from this account; plugins: hidden from this account"),
        ("vault", 1, "OpenSearch answers, but this account may not search vault."),
    ):
        with pytest.raises(SystemExit) as end:
            main([*words, "--index", index])
        printed = capsys.readouterr().out
        (opensearch,) = [line for line in json.loads(printed)["findings"] if line["name"] == "OpenSearch"]
        assert (end.value.code, opensearch["found"]) == (status, found)
        assert PASSWORD not in printed


def test_a_skipped_search_is_answered_as_ever(reranking, ada):
    body = {"query": QUERY, "sort": ["_doc"]}
    answer = reranking.rerank(SearchRequest("library", body))
    assert answer.skipped
    assert without_took(answer.body) == without_took(direct(ada, "library", body))


def test_through_the_service_a_caller_sees_what_he_may_see_and_nothing_else(node):
    def basic(user, password):
        return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

    asked = {"query": EITHER, "size": 50, "ext": {"rerank": {"explain": True}}}
    with served(node.url, (*FAKE, "constant"), window=50, opensearch_ca_certs=node.login.ca) as service:
        hers = service.search("library", asked, **basic("ada", PASSWORD))
        assert hers.headers["x-rerank-status"] == "applied"
        assert set(ids(hers.json())) == OPEN
        assert b"whispered" not in hers.body
        # The next caller finds nothing of hers in a cache, and she nothing of his.
        his = service.search("library", asked, **basic("admin", "admin"))
        assert len(ids(his.json())) == 50
        assert set(ids(service.search("library", asked, **basic("ada", PASSWORD)).json())) == OPEN
        assert service.search("vault", asked, **basic("ada", PASSWORD)).status == 403
        assert service.search("library", asked, **basic("ada", "wrong")).status == 401
        nobody = service.search("library", asked)
        assert (nobody.status, nobody.body) == (401, b"Unauthorized")
        assert service.ask("DELETE", "/library", headers=basic("ada", PASSWORD)).status == 403
