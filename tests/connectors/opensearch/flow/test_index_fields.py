"""How the text of a field is had, as a mapping says, and what a search does about it."""

from __future__ import annotations

import json

import pytest

from connectors.opensearch.flow.cluster_state import Cluster
from connectors.opensearch.flow.driving import drive
from connectors.opensearch.flow.field_lookup import MOST_INDEXES, paths
from connectors.opensearch.rewrite.field_plan import reading, unread_indexes
from connectors.opensearch.rewrite.index_fields import Way, read
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected

TEXT = {"type": "text"}


def mapped(index="docs", source=None, **fields):
    """An index's fields as OpenSearch answers, `a__b` for `a.b`."""
    entries = {"_id": {"full_name": "_id", "mapping": {}}}
    entries |= {"_source": {"full_name": "_source", "mapping": {"_source": source}}} if source else {}
    for name, mapping in fields.items():
        path = name.replace("__", ".")
        entries[path] = {"full_name": path, "mapping": {path.rpartition(".")[2]: mapping}}
    return json.dumps({index: {"mappings": entries}}).encode()


RICH = {
    "body": {**TEXT, "fields": {"en": TEXT}, "copy_to": ["all", "kept"]},
    "body__en": TEXT,
    "title": {**TEXT, "copy_to": "all"},
    "all": TEXT,
    "kept": {**TEXT, "store": True},
    "nick": {"type": "alias", "path": "body"},
    "made": {"type": "keyword", "script": {"source": "emit('x')"}},
    "same": {"type": "constant_keyword", "value": "x"},
    "tag": {"type": "keyword"},
    "secret": TEXT,
    "apart__one": {**TEXT, "store": True},
    "parts__name": {"type": "match_only_text"},
}
WITHOUT = {"excludes": ["secret", "apart"]}


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("body", Way.SOURCE),
        ("tag", Way.SOURCE),
        ("parts.name", Way.SOURCE),
        ("body.en", Way.FIELDS),
        ("nick", Way.FIELDS),
        ("made", Way.FIELDS),
        ("same", Way.FIELDS),
        ("kept", Way.STORED),
        ("apart.one", Way.STORED),
        ("all", Way.COPIED),
        ("secret", Way.LOST),
        ("nothing", Way.ABSENT),
        ("_id", Way.ABSENT),
    ],
)
def test_the_way_to_a_fields_text(name, way):
    assert read(mapped(source=WITHOUT, **RICH))["docs"].way(name) is way


def test_the_fields_that_a_person_wrote_into():
    found = read(mapped(source=WITHOUT, **RICH))["docs"]
    assert found.text == ("apart.one", "body", "parts.name", "title")
    assert found.copied_from("all") == ["body", "title"]


@pytest.mark.parametrize(
    ("source", "way", "text"),
    [
        ({"enabled": False}, {"a": Way.LOST, "b": Way.STORED}, ("b",)),
        ({"includes": ["a"]}, {"a": Way.SOURCE, "b": Way.STORED}, ("a", "b")),
        ({"includes": ["x.*"]}, {"a": Way.LOST, "b": Way.STORED}, ("b",)),
        ({"excludes": ["*"]}, {"a": Way.LOST, "b": Way.STORED}, ("b",)),
    ],
)
def test_what_source_leaves_out(source, way, text):
    found = read(mapped(source=source, a=TEXT, b={**TEXT, "store": "true"}))["docs"]
    assert {name: found.way(name) for name in "ab"} == way
    assert found.text == text


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"docs":7}', b'{"acknowledged":true}', b"\xff", b'{"a":' * 99999])
def test_an_answer_of_another_shape_names_no_fields(answer):
    assert read(answer) == {}


def looked(fields, *answers, all_lack=True):
    found = {index: one for answer in answers for index, one in read(answer).items()}
    return reading(fields, found, list(found), all_lack=all_lack)


def test_default_fields_that_are_not_there_are_replaced_and_it_is_said():
    made = looked(PassageFields(), mapped(headline=TEXT, body__en=TEXT, tag={"type": "keyword"}))
    assert made.of("docs") == PassageFields(("title",), ("body.en", "headline"), "\n")
    assert made.choice == "docs has none of the default text fields; read are those of its mapping: body.en, headline"
    assert (made.of("other"), made.warning, made.refusal) == (PassageFields(), "", "")


@pytest.mark.parametrize(
    ("text", "warning", "refusal"),
    [
        (("x", "y"), "docs has no field x, y; its text fields are apart.one, body, parts.name", ""),
        (
            ("secret",),
            "docs keeps secret neither in _source nor stored; its text fields are apart.one, body, parts.name",
            "",
        ),
        (
            ("all",),
            "",
            "all of docs is the target of a copy_to, whose text OpenSearch keeps nowhere: name body, title",
        ),
        (("body",), "no hit of docs shows text in body; its other text fields are apart.one, parts.name", ""),
        (("body.en",), "", ""),
    ],
)
def test_fields_that_were_chosen_stay_and_what_is_wrong_with_them_is_said(text, warning, refusal):
    made = looked(PassageFields(text=text), mapped(source=WITHOUT, **RICH))
    assert (made.by_index, made.choice) == ({}, "")
    assert (made.warning, made.refusal) == (warning, refusal)


def test_a_refusal_needs_that_nothing_else_can_be_read():
    made = looked(PassageFields(text=("all",)), mapped(**RICH), all_lack=False)
    assert made.refusal == ""
    assert made.warning.startswith("all of docs is the target of a copy_to")
    assert unread_indexes(PassageFields(text=("all",)), read(mapped(**RICH))) == ["docs"]
    assert unread_indexes(PassageFields(text=("all", "body")), read(mapped(**RICH))) == []


def test_of_many_indexes_the_first_are_named():
    made = looked(PassageFields(), *(mapped(f"i{n}", story=TEXT) for n in range(5)))
    assert made.choice.endswith("its mapping: story; and so on for 2 more")
    assert len(made.by_index) == 5


def hit(docid, index="docs", fields=None, **source):
    made = {"_index": index, "_id": docid, "_score": 1.0, "_source": source}
    return made | ({"fields": fields} if fields else {})


def searched(body, answers, mapping, fields=None, cluster=None):
    """Search, each search answered in turn and each question about fields by `mapping`."""
    sent, asked, waiting = [], [], iter(answers)

    def send(request):
        if request.path is None:
            sent.append(json.loads(request.body))
            return json.dumps({"took": 1, "hits": {"hits": next(waiting)}}).encode()
        if "_mapping" not in request.path:
            return b"{}"
        asked.append(request.path)
        if isinstance(mapping, int):
            raise EngineRejected("no", status=mapping)
        return mapping

    flow = (cluster or Cluster()).search(
        "docs", SearchBody(json.dumps(body).encode()), {}, window=9, fields=fields or PassageFields(), caller=b"ada"
    )
    return drive(flow, send), sent, asked


BODY = {"query": {"match": {"title": "fox"}}}


def texts(stage):
    return [candidate.passage.text for candidate in stage.candidates]


def test_what_source_holds_is_read_off_the_same_answer():
    cluster, answer = Cluster(), [hit("1", title="t", story="fox")]
    stage, sent, asked = searched(BODY, [answer], mapped(story=TEXT), cluster=cluster)
    assert (texts(stage), len(sent), asked) == (["fox"], 1, ["/docs/_mapping/field/*"])
    assert stage.native.warning.startswith("docs has none of the default text fields")
    stage, sent, asked = searched(BODY, [answer], mapped(), cluster=cluster)
    assert (texts(stage), len(sent), asked) == (["fox"], 1, [])
    # A caller who hides _source is none the worse.
    hidden = [hit("1", fields={"story": ["fox"]})]
    stage, sent, _ = searched({**BODY, "_source": False}, [hidden], mapped(), cluster=cluster)
    assert (texts(stage), "story" in sent[0]["fields"]) == (["fox"], True)


@pytest.mark.parametrize(
    ("field", "more"),
    [("body.en", {"fields": ["body.en"]}), ("kept", {"stored_fields": ["kept"], "_source": True})],
)
def test_what_source_never_holds_is_asked_for(field, more):
    answers = [[hit("1", body="x")], [hit("1", body="x", fields={field: ["fox"]})]]
    stage, sent, _ = searched(BODY, answers, mapped(**RICH), PassageFields(text=(field,)))
    assert (texts(stage), stage.native.warning) == (["fox"], "")
    assert sent[1] == {**BODY, "from": 0, "size": 10, **more}
    assert stage.native.plan.borrowed == {field}


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"stored_fields": "tag"}, {"stored_fields": ["tag", "kept"]}),
        ({"stored_fields": ["tag"], "_source": ["a"]}, {"stored_fields": ["tag", "kept"], "_source": ["a"]}),
        ({"_source": False}, {"stored_fields": ["kept"], "_source": False}),
        ({"fields": ["k*"]}, {"stored_fields": ["kept"], "fields": ["k*"]}),
        ({"script_fields": {}}, {"stored_fields": ["kept"], "_source": True, "script_fields": {}}),
    ],
)
def test_stored_fields_are_added_to_the_callers_own(body, sent):
    answers = [[hit("1")], [hit("1", fields={"kept": ["fox"]})]]
    stage, asked, _ = searched({**BODY, **body}, answers, mapped(**RICH), PassageFields((), ("kept",)))
    assert texts(stage) == ["fox"]
    assert {name: asked[-1].get(name) for name in sent} == sent


@pytest.mark.parametrize(("status", "asked_again"), [(403, 0), (404, 0), (503, 1), (401, 1)])
def test_a_mapping_that_may_not_be_read_is_said(status, asked_again):
    cluster, answer = Cluster(), [hit("1", title="t")]
    why = "this account may not read the mapping (indices:admin/mappings/fields/get)"
    if status not in {401, 403}:
        why = f"OpenSearch answered {status} when asked for the mapping"
    for expected in (1, asked_again):
        stage, _, asked = searched(BODY, [answer], status, PassageFields(text=("story",)), cluster)
        assert (stage.skipped, len(asked)) == (None, expected)
        assert stage.native.warning == f"no hit of docs shows text in story, and {why}"


def test_nothing_is_asked_where_text_is_found():
    _, _, asked = searched(BODY, [[hit("1", text="fox"), hit("2", title="t")]], 500)
    assert asked == []
    stage, _, asked = searched(BODY, [[]], 500)
    assert (asked, stage.native.warning) == ([], "")


def test_a_copy_is_refused_with_opensearchs_own_answer():
    own = [hit("1", body="x")]
    stage, sent, _ = searched(BODY, [own, own], mapped(**RICH), PassageFields((), ("all",)))
    assert (
        stage.skipped == "all of docs is the target of a copy_to, whose text OpenSearch keeps nowhere: name body, title"
    )
    assert sent[1] == BODY
    assert json.loads(stage.native.raw)["hits"]["hits"] == own


def test_an_index_that_turns_up_later_is_looked_at_too():
    cluster = Cluster()
    both = json.dumps(json.loads(mapped(story=TEXT)) | json.loads(mapped("more", tale=TEXT))).encode()
    stage, _, asked = searched(BODY, [[hit("1", story="fox")]], both, cluster=cluster)
    assert (texts(stage), asked) == (["fox"], ["/docs/_mapping/field/*"])
    later = [hit("1", story="fox"), hit("2", index="more", tale="hen")]
    stage, _, asked = searched(BODY, [later], both, cluster=cluster)
    assert (texts(stage), asked) == (["fox", "hen"], ["/docs,more/_mapping/field/*"])
    stage, _, asked = searched(BODY, [later], both, cluster=cluster)
    assert (texts(stage), asked) == (["fox", "hen"], [])


def test_of_ever_so_many_indexes_the_first_are_asked_for_once():
    cluster, hits = Cluster(), [hit("1", index=f"i{n}", title="t") for n in range(MOST_INDEXES + 20)]
    body = SearchBody(json.dumps(BODY).encode())
    flow = cluster.search("*", body, {}, window=500, fields=PassageFields(), caller=b"")
    asked = []

    def send(request):
        asked.append(request.path)
        return json.dumps({"took": 1, "hits": {"hits": hits}}).encode() if request.path is None else b"{}"

    assert drive(flow, send).skipped is None
    assert sum(path.count(",") + 1 for path in asked if path and "_mapping" in path) == MOST_INDEXES
    asked.clear()
    body = SearchBody(json.dumps(BODY).encode())
    flow = cluster.search("*", body, {}, window=500, fields=PassageFields(), caller=b"")
    assert drive(flow, send).native.warning.endswith("and OpenSearch shows no mapping of it")
    assert asked == [None]


def test_paths_are_short_enough_for_opensearch():
    names = [f"{'x' * 240}-{i}" for i in range(98)]
    found = list(paths(["a b", "<x>", *names]))
    assert all(len(path) < 3300 for path in found)
    assert found[0].startswith("/a%20b,%3Cx%3E,x")
    assert sum(path.count(",") + 1 for path in found) == 100
    assert list(paths([])) == []
