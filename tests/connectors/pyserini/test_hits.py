import msgspec
import pytest

from connectors.pyserini.hits import LuceneHit, RerankedHit, rest_response


def test_the_rest_shape_written_out():
    hits = [
        RerankedHit("d7", 3.25, 7, '{"_id": "d7", "title": "T", "text": "x"}', 1.5, 12, 3.25),
        RerankedHit("d1", -0.5, 1, "plain text", 9.0, 1, -0.5),
        RerankedHit("d2", -1.5, 2, None, 8.0, 2, None),
    ]
    assert rest_response("beir", "a query", hits) == {
        "api": "v1",
        "index": "beir",
        "query": {"text": "a query"},
        "candidates": [
            {"docid": "d7", "score": 3.25, "rank": 1, "doc": {"title": "T", "text": "x"}},
            {"docid": "d1", "score": -0.5, "rank": 2, "doc": "plain text"},
            {"docid": "d2", "score": -1.5, "rank": 3, "doc": None},
        ],
    }


@pytest.mark.parametrize(
    ("raw", "doc"),
    [
        ('{"id": "d1", "contents": "words"}', "words"),
        ('{"pid": "d1", "passage": "words"}', {"pid": "d1", "passage": "words"}),
        ('{"docid": "d1", "a": 1984, "b": true, "c": null}', {"a": "1984", "b": "true", "c": "null"}),
        ('{"_id": "d1", "a": [1, "x"]}', [1, "x"]),
        ("[1]", [1]),
        ("1984", 1984),
        ("{}", {}),
        ("{not JSON}", "{not JSON}"),
    ],
)
def test_a_document_as_anserini_formats_it(raw, doc):
    assert rest_response("i", "q", [LuceneHit("d1", 2.0, 1, raw)])["candidates"] == [
        {"docid": "d1", "score": 2.0, "rank": 1, "doc": doc}
    ]


def test_what_a_server_sent_goes_through_byte_by_byte():
    response = rest_response("i", "q", [LuceneHit("d1", 2.0, -1, "", sent_doc=b'{"a": [0.10], "a": 1}')])
    assert b'"doc":{"a": [0.10], "a": 1}' in msgspec.json.encode(response)


def test_no_hits_have_a_response_too():
    assert rest_response("i", "q", [])["candidates"] == []
