"""Errors in each dialect, as its vendor tells them: status and body."""

from __future__ import annotations

import pytest

QUERY = "q"
TEXTS = ["score 0", "score 2", "score -1"]
rerank = {"query": QUERY, "documents": TEXTS}
EMPTY = {"query": QUERY, "documents": []}
NO_MODEL = "there is no model 'gpt' here; declared are m, other, rerank-v3.5"
ERRORS = {
    "cohere, nothing": ("/cohere/v2/rerank", EMPTY, 400, {"message": "invalid request: documents must not be empty"}),
    "cohere, no query": (
        "/cohere/v1/rerank",
        {"documents": TEXTS},
        400,
        {"message": "invalid request: query: field required"},
    ),
    "cohere, objects in v2": (
        "/cohere/v2/rerank",
        {"query": QUERY, "documents": [{"text": "a"}]},
        400,
        {"message": "invalid request: documents.0: input should be a valid string"},
    ),
    "cohere, top_n of 0": (
        "/cohere/v2/rerank",
        rerank | {"top_n": 0},
        400,
        {"message": "invalid request: top_n: input should be greater than or equal to 1"},
    ),
    "cohere, no such model": ("/cohere/v2/rerank", rerank | {"model": "gpt"}, 404, {"message": NO_MODEL}),
    "jina, nothing": ("/jina/v1/rerank", EMPTY, 422, {"detail": "documents must not be empty"}),
    "jina, an image": (
        "/jina/v1/rerank",
        {"query": QUERY, "documents": [{"image": "x"}]},
        422,
        {
            "detail": "documents.0: no text in title, text, contents, passage, segment, body, content; "
            "it has text in image: name it in rank_fields, or SIDECAR_TEXT_FIELDS"
        },
    ),
    "jina, no such model": ("/jina/v1/rerank", rerank | {"model": "gpt"}, 404, {"detail": NO_MODEL}),
    "tei, nothing": (
        "/tei/rerank",
        {"query": QUERY, "texts": []},
        400,
        {"error": "texts must not be empty", "error_type": "Empty"},
    ),
    "tei, numbers": (
        "/tei/rerank",
        {"query": QUERY, "texts": ["a", 1]},
        422,
        {"error": "texts.1: input should be a valid string", "error_type": "Validation"},
    ),
    "tei, the start cut": (
        "/tei/rerank",
        {"query": QUERY, "texts": TEXTS, "truncation_direction": "Left"},
        422,
        {"error": "truncation_direction: input should be 'Right' or 'right'", "error_type": "Validation"},
    ),
    "tei, the model fails": (
        "/tei/rerank",
        {"query": "fail", "texts": TEXTS},
        424,
        {"error": "told to fail", "error_type": "Backend"},
    ),
    "vllm, nothing": (
        "/vllm/rerank",
        EMPTY,
        400,
        {
            "error": {
                "message": "documents must not be empty",
                "type": "BadRequestError",
                "param": "documents",
                "code": 400,
            }
        },
    ),
    "vllm, no such model": (
        "/vllm/score",
        {"text_1": "a", "text_2": "b", "model": "gpt"},
        404,
        {"error": {"message": NO_MODEL, "type": "NotFoundError", "param": "model", "code": 404}},
    ),
    "vllm, two against one": (
        "/vllm/score",
        {"text_1": ["a", "b"], "text_2": ["c"]},
        400,
        {
            "error": {
                "message": "text_1 has 2 texts and text_2 has 1: give one in text_1, or as many as in text_2",
                "type": "BadRequestError",
                "param": "text_1",
                "code": 400,
            }
        },
    ),
    "nim, nothing": (
        "/v1/ranking",
        {"query": {"text": QUERY}, "passages": []},
        422,
        {
            "object": "error",
            "message": "passages must not be empty",
            "detail": {},
            "type": "invalid_request_error",
        },
    ),
    "neutral, nothing": (
        "/v1/rerank",
        EMPTY,
        400,
        {
            "message": "documents must not be empty",
            "detail": "documents must not be empty",
            "error": {
                "message": "documents must not be empty",
                "type": "BadRequestError",
                "param": "documents",
                "code": 400,
            },
        },
    ),
    "neutral, NaN from the model": (
        "/v1/rerank",
        {"query": "nan", "documents": ["a"]},
        500,
        {
            "message": "scripted scored 1 of 1 passages as NaN or infinity.",
            "detail": "scripted scored 1 of 1 passages as NaN or infinity.",
            "error": {
                "message": "scripted scored 1 of 1 passages as NaN or infinity.",
                "type": "InternalServerError",
                "param": None,
                "code": 500,
            },
        },
    ),
    "neutral with texts, nothing": (
        "/rerank",
        {"query": QUERY, "texts": []},
        400,
        {"error": "texts must not be empty", "error_type": "Empty"},
    ),
    "jina, a blank query": (
        "/jina/v1/rerank",
        {"query": " \n", "documents": TEXTS},
        422,
        {"detail": "the query must not be empty"},
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_told_as_the_vendor_tells_it(api, case):
    path, body, status, expected = ERRORS[case]
    response = api.post(path, body)
    assert (response.status_code, response.json()) == (status, expected)
