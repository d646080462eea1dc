"""`/v1/compare` in front of real clusters: searched in the fields that the index has, in the caller's own rights."""

from __future__ import annotations

import base64
import json
import uuid

import pytest

from connectors.opensearch.admin.bulk import load
from sidecar.core.corpus import Document
from tests.support.servers.served import ask, served

pytestmark = pytest.mark.live
JSON = {"content-type": "application/json"}


def compared(service, headers=None, **asked):
    return ask(service.api_url, "POST", "/v1/compare", json.dumps(asked).encode(), JSON | (headers or {}))


def test_words_are_searched_in_the_text_fields_of_the_mapping(client, opensearch_url):
    name = f"compare-{uuid.uuid4().hex[:8]}"
    for i, text in enumerate(("a fox. score 1", "a fox and a fox. score 5", "a dog. score 9")):
        client.index(index=name, id=str(i), body={"abstract": text, "year": 1999})
    client.indices.refresh(index=name)
    try:
        with served(opensearch_url) as service:
            found = compared(service, index=name, query="fox", responses=True).json()
            listed = ask(service.api_url, "GET", "/v1/compare/indexes").json()
            missing = compared(service, index=f"{name}-not", query="fox")
    finally:
        client.indices.delete(index=name)
    assert {hit["docid"] for hit in found["hits"]} == {"0", "1"}
    assert all(hit["highlight"]["abstract"][0].startswith("a <em>fox</em>") for hit in found["hits"])
    (ranking,) = found["rankings"]
    assert (ranking["status"], [hit["rerank_score"] for hit in ranking["hits"]]) == ("applied", [5.0, 1.0])
    assert [hit["_id"] for hit in ranking["response"]["hits"]["hits"]] == ["1", "0"]
    assert (listed["left_out"], name in listed["opensearch_indexes"]) == (0, True)
    assert (missing.status, missing.json()["engine_status"]) == (404, 404)


def test_default_fields_are_highlighted_and_ties_keep_their_order(client, opensearch_url):
    name = f"compare-{uuid.uuid4().hex[:8]}"
    load(client, name, [Document("a", "The fox", "one fox. score 2"), Document("b", "A dog", "one fox. score 2")])
    try:
        with served(opensearch_url) as service:
            found = compared(service, index=name, query="fox").json()
    finally:
        client.indices.delete(index=name)
    assert [hit["docid"] for hit in found["hits"]] == ["a", "b"]
    assert [hit["first_stage_rank"] for hit in found["rankings"][0]["hits"]] == [1, 2]
    assert found["hits"][0]["highlight"]["title"] == ["The <em>fox</em>"]


def test_a_cluster_with_accounts_is_searched_in_the_callers_rights_alone(secure_node):
    login = secure_node.login
    token = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    wrong = base64.b64encode(f"{login.user}:no".encode()).decode()
    # The service's own account must not help a caller without one.
    account = {"opensearch_user": login.user, "opensearch_password": login.password}
    with served(secure_node.url, opensearch_ca_certs=login.ca, api_key="k3y", **account) as service:
        key = {"x-sidecar-api-key": "k3y"}
        for headers in (key, {"authorization": "Bearer k3y"}, key | {"authorization": f"Basic {wrong}"}):
            answer = compared(service, headers, index="any", query="fox")
            assert (answer.status, answer.json()["engine_status"]) == (401, 401)
            listed = ask(service.api_url, "GET", "/v1/compare/indexes", headers=headers)
            assert listed.json() == {"opensearch_indexes": [], "left_out": 0}
        answer = compared(service, key | {"authorization": f"Basic {token}"}, index="not-there", query="fox")
        assert (answer.status, answer.json()["engine_status"]) == (404, 404)


@pytest.fixture
def reader(secure_node):
    """An account that may read one of the cluster's two indexes, `listed`."""
    api, name, password = "_plugins/_security/api", "lister", "Of-The-Listed-1"
    rights = {"index_permissions": [{"index_patterns": ["listed"], "allowed_actions": ["read"]}]}
    paths = {f"{api}/roles/{name}": rights, f"{api}/internalusers/{name}": {"password": password}}
    paths |= {f"{api}/rolesmapping/{name}": {"users": [name]}, "listed": None, "unlisted": None}
    for path, body in paths.items():
        secure_node.ask("PUT", path, body)
    yield base64.b64encode(f"{name}:{password}".encode()).decode()
    for path in reversed(paths):
        secure_node.ask("DELETE", path)


def test_the_list_of_indexes_is_in_the_callers_rights(secure_node, reader):
    login = secure_node.login
    admin = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    with served(secure_node.url, opensearch_ca_certs=login.ca) as service:
        found = [
            set(ask(service.api_url, "GET", "/v1/compare/indexes", headers=headers).json()["opensearch_indexes"])
            for headers in ({"authorization": f"Basic {admin}"}, {"authorization": f"Basic {reader}"}, {})
        ]
    assert found[0] >= {"listed", "unlisted"}
    # The plugin refuses the whole list to an account that may not read all of it (do_not_fail_on_forbidden is off).
    assert found[1:] == [set(), set()]
