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
            {"docid": "d7", "score": 3.25, "rank": 1, "doc": {"_id": "d7", "title": "T", "text": "x"}},
            {"docid": "d1", "score": -0.5, "rank": 2, "doc": "plain text"},
            {"docid": "d2", "score": -1.5, "rank": 3, "doc": None},
        ],
    }


def test_hits_of_the_first_stage_have_it_too():
    assert rest_response("i", "q", [LuceneHit("d1", 2.0, 1, "[1]")])["candidates"] == [
        {"docid": "d1", "score": 2.0, "rank": 1, "doc": "[1]"}
    ]
    assert rest_response("i", "q", [])["candidates"] == []


def test_an_empty_object_is_an_object():
    assert rest_response("i", "q", [LuceneHit("d1", 2.0, 1, "{}")])["candidates"] == [
        {"docid": "d1", "score": 2.0, "rank": 1, "doc": {}}
    ]
