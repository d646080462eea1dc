"""`search` and `run` on an index that lacks the default fields: never an empty result without a word."""

from __future__ import annotations

import json
import uuid

import pytest

pytestmark = pytest.mark.live

TEXT = {"type": "text"}
SET = "Set --text-fields or SIDECAR_TEXT_FIELDS to choose."


@pytest.fixture(scope="module")
def index(client):
    """An index of headlines and bodies, of which no field has a name that is known by default."""
    name = f"news-{uuid.uuid4().hex[:8]}"
    properties = {"headline": TEXT, "body": {"properties": {"en": TEXT}}, "all": TEXT, "tag": {"type": "keyword"}}
    properties["headline"] = {**TEXT, "copy_to": "all"}
    client.indices.create(index=name, body={"mappings": {"properties": properties}})
    for i in range(3):
        source = {"headline": f"fox {i}", "body": {"en": f"a red fox {'x' * i}"}, "tag": "t"}
        client.index(index=name, id=str(i), body=source, refresh=True)
    yield name
    client.indices.delete(index=name)


@pytest.fixture
def asked(run, adapter, opensearch_url, index):
    """Run a command on that index; returns exit status, stdout and stderr."""
    at = ("--model", adapter, "--device", "cpu", "--url", opensearch_url, "--index", index)
    return lambda command, *words: run(command, *words, *at)


def test_the_mappings_text_fields_are_searched_and_named(asked, index, tmp_path):
    said = f"{index} has none of the default text fields; read are those of its mapping: body.en, headline. {SET}"
    status, out, err = asked("search", "red fox", "--format", "json")
    assert (status, said in err) == (0, True)
    assert {hit["_id"] for hit in json.loads(out)["hits"]["hits"]} == {"0", "1", "2"}
    (tmp_path / "topics.tsv").write_text("q1\tred fox\n")
    status, _, err = asked("run", "--topics", "topics.tsv", "--output", "run.txt")
    assert (status, said in err, "3 passages scored" in err) == (0, True, True)
    assert len((tmp_path / "run.txt").read_text().splitlines()) == 3
    fields = json.loads((tmp_path / "run.txt.manifest.json").read_text())["first_stage"]["body"]["query"]["multi_match"]
    assert fields["fields"] == ["title", "body.en", "headline", "text", *fields["fields"][4:]]


@pytest.mark.parametrize("command", [("search", "fox"), ("run", "--topics", "topics.tsv", "--output", "run.txt")])
@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("abstract", "{} has no field abstract; its text fields are body.en, headline."),
        ("all", "all of {} is the target of a copy_to, whose text OpenSearch keeps nowhere: name headline."),
    ],
)
def test_fields_of_which_nothing_can_be_read_are_an_error(asked, index, tmp_path, command, field, said):
    (tmp_path / "topics.tsv").write_text("q1\tfox\n")
    status, out, err = asked(*command, "--text-fields", field)
    assert (status, out) == (1, "")
    assert said.format(index) in " ".join(err.split())
    assert not (tmp_path / "run.txt").exists()


def test_a_query_without_a_match_is_said(asked):
    status, _, err = asked("search", "hen", "--text-fields", "headline")
    assert (status, "no document matches the query" in err) == (0, True)
