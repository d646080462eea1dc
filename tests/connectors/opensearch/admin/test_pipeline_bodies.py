"""Bodies that `install-pipeline` makes, how it knows its own, and what it reads out of refusals."""

from __future__ import annotations

import json

import pytest

from connectors.opensearch.admin.install_pipeline import usable
from connectors.opensearch.admin.ml_commons import Found, State
from connectors.opensearch.admin.pipeline_bodies import (
    Wanted,
    connector_body,
    differences,
    dotted,
    is_ours,
    model_of,
    pipeline_body,
    split_fields,
)
from connectors.opensearch.admin.pipeline_obstacles import ELIGIBLE, ONLY_ML_NODES, TRUSTED, obstacle
from connectors.opensearch.admin.pipeline_trial import words_in
from sidecar.core.errors import ConfigurationError, EngineRejected

WANTED = Wanted("rr", "http://host:9281", ("title", "text"))


def wanted(**change):
    return Wanted(**({"name": "rr", "url": "http://host:9281", "fields": ("title", "text")} | change))


def as_it_is_read(body):
    """ML Commons shows no credential, and fills in what was left out."""
    shown = {name: value for name, value in body.items() if name != "credential"}
    return shown | {"client_config": body["client_config"] | {"max_connection": 30}, "created_time": 1}


def test_what_was_made_is_known_again():
    for one in (WANTED, wanted(api_key="k3y"), wanted(model="m")):
        found = as_it_is_read(connector_body(one, "5a17"))
        assert is_ours(found)
        assert differences(found, one) == []
    assert not is_ours({"description": "Made by hand"})
    assert not is_ours({})


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"url": "http://host:1"}, ["the URL was http://host:9281/v1/rerank"]),
        ({"model": "m"}, ["the model"]),
        ({"api_key": "k3y"}, ["the key"]),
        ({"seconds": 31}, ["the time-outs"]),
        ({"url": "http://host:1", "seconds": 31}, ["the URL was http://host:9281/v1/rerank", "the time-outs"]),
        ({"fields": ("text",)}, []),
    ],
)
def test_what_is_not_as_wanted_is_named(change, difference):
    assert differences(as_it_is_read(connector_body(WANTED, "5a17")), wanted(**change)) == difference


def test_another_key_is_another_and_none_is_in_sight():
    body = connector_body(wanted(api_key="k3y-s3cret"), "5a17")
    assert body["credential"] == {"key": "k3y-s3cret"}
    assert "k3y-s3cret" not in json.dumps(as_it_is_read(body))
    assert "k3y-s3cret" not in repr(wanted(api_key="k3y-s3cret"))
    assert differences(body, wanted(api_key="k3y-s3cret")) == []
    assert differences(body, wanted(api_key="k3y-0ther")) == ["the key"]
    assert differences(body, WANTED) == ["the key"]


def test_a_request_changed_by_hand_is_not_ours_any_more():
    body = connector_body(WANTED, "5a17")
    body["actions"][0]["post_process_function"] = "connector.post_process.default.rerank"
    assert differences(body, WANTED) == ["the request"]
    assert differences({"description": "", "actions": []}, WANTED)[0] == "the URL was None"


@pytest.mark.parametrize(
    "change",
    [
        {"url": "host:9281"},
        {"url": "ftp://host"},
        {"url": "http://ada:pw@host:9281"},
        {"url": "http://host:9281?a=b"},
        {"url": "http://host:99999"},
        {"url": "http://host/${parameters.x}"},
        {"url": "http://ho st"},
        {"url": "http://[::1"},
        {"name": "a b"},
        {"name": "a,b"},
        {"name": "_none"},
        {"name": ""},
        {"fields": ()},
        {"api_key": "two words"},
        {"api_key": "é"},
        {"api_key": ""},
    ],
)
def test_what_can_not_be_made_is_refused_and_no_secret_told(change):
    with pytest.raises(ConfigurationError) as caught:
        wanted(**change)
    assert "pw" not in str(caught.value)


def test_a_model_name_can_not_leave_its_string():
    action = connector_body(wanted(model="a'b\"c\\d${parameters.x}é"), "00")["actions"][0]
    head = action["pre_process_function"].partition("\n")[0]
    assert head == r"""String head = '{"model":"a\'b\\"c\\\\d\\u0024{parameters.x}\\u00e9",';"""


def test_fields_are_read_and_dotted_ones_told():
    assert split_fields(" title, ,body.text ") == ("title", "body.text")
    assert dotted(("title", "body.text")) == ["body.text"]
    assert words_in({"title": "A  b", "text": ["no"], "body": "c\nd e f g"}, ("title", "text", "body")) == "A b c d e f"


def connector(name, **change):
    return Found(name, connector_body(wanted(**change), "5a17"))


def model(name, of):
    return Found(name, {"connector_id": of})


def state(connectors, models, in_use=None):
    return State(connectors, models, [], pipeline_body(WANTED, in_use) if in_use else None)


def test_what_the_pipeline_uses_is_kept_before_what_fits_as_well():
    two = [connector("c1"), connector("c2")], [model("m1", "c1"), model("m2", "c2")]
    for in_use, kept in (("m1", ("c1", "m1")), ("m2", ("c2", "m2")), (None, ("c1", "m1"))):
        found = usable(state(*two, in_use), WANTED)
        assert (found.connector.id, found.model.id) == kept
    assert model_of(pipeline_body(WANTED, "m1")) == "m1"
    assert model_of({"response_processors": [{"truncate_hits": {}}]}) is None


def test_what_does_not_fit_is_not_kept_and_a_lone_connector_is():
    old = [connector("c1", seconds=9)], [model("m1", "c1")]
    found = usable(state(*old, "m1"), WANTED)
    assert (found.connector, found.model, found.why) == (None, None, ["the time-outs"])
    found = usable(state([*old[0], connector("c2")], old[1], "m1"), WANTED)
    assert (found.connector.id, found.model) == ("c2", None)
    assert usable(state([], []), WANTED).why == []


def met(words, known=None, status=400):
    return obstacle(EngineRejected(f"OpenSearch answered {status}: {words}", status=status), WANTED.endpoint, known)


def test_the_trusted_expressions_that_are_there_stay():
    refused = "Connector URL is not matching the trusted connector endpoint regex, URL is: http://host:9281/v1/rerank"
    found = met(refused, {TRUSTED: ["^https://api\\.cohere\\.ai/.*$"]})
    assert found.settings == {TRUSTED: ["^https://api\\.cohere\\.ai/.*$", "^http://host:9281/v1/rerank$"]}
    assert found.request().startswith('PUT _cluster/settings\n{"persistent":{"plugins.ml_commons.trusted_')
    assert "they are lost" not in found.remedy
    assert "they are lost" in met(refused).remedy


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("Invalid processor type rerank", "the cluster has no rerank processor."),
        ("no handler found for uri [/_plugins/_ml/connectors/_search] and method [POST]", "the cluster has no ML"),
        (
            "Error communicating with remote model: Read timed out",
            "OpenSearch can't reach the sidecar at http://host:9281",
        ),
        ('Error from remote service: {"m":"no eligible node"}', "the sidecar at http://host:9281/v1/rerank refused"),
        ("Fail to execute PREDICT in aws connector", "what answers at http://host:9281/v1/rerank is no rerank server."),
        ("no permissions for [cluster:admin/x] and User []", "this account lacks the permission cluster:admin/x."),
    ],
)
def test_what_no_setting_mends_says_what_does(words, why):
    found = met(words)
    assert found.why.startswith(why)
    assert (found.settings, bool(found.remedy)) == (None, True)


def test_nodes_that_may_not_run_a_model():
    assert met("no eligible node found").settings == {ONLY_ML_NODES: False}
    assert met("No eligible node found", {ELIGIBLE: ["ml"]}).settings == {
        ONLY_ML_NODES: False,
        ELIGIBLE: ["data", "ml"],
    }


def test_any_other_refusal_stays_as_it_is():
    assert met("the disk is full") is None
