"""The embedded default against plain transformers, on its real weights."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch

from sidecar.core.candidates import Passage
from sidecar.core.errors import ModelError, NonFiniteScore
from sidecar.scoring.bi_encoder import BiEncoder, EmbeddingCache
from sidecar.scoring.loading import load_scorer
from tests.support.models.values import values

QUERY = "which passage holds the words of a query"


@pytest.fixture(scope="module")
def embedded():
    # Some tests look at torch's weights; test_openvino.py has the other engine.
    return load_scorer("e5-small", device="cpu", engine="transformers")


def plain_cosines(directory, query, documents):
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory, split_special_tokens=True)
    model = AutoModel.from_pretrained(directory).eval()

    def embed(text):
        inputs = tokenizer([text], return_tensors="pt", truncation=True, max_length=512)
        with torch.inference_mode():
            return model(**inputs).last_hidden_state[0].mean(0)

    return [torch.cosine_similarity(embed(query), embed(document), dim=0).item() for document in documents]


def test_it_equals_a_plain_mean_pool_and_cosine(embedded, embedded_floats, passages):
    documents = [
        f"passage: {p.title} {p.text}" if p.title and p.text else f"passage: {p.title or p.text}" for p in passages
    ]
    expected = plain_cosines(embedded_floats, f"query: {QUERY}", [document.strip() for document in documents])
    assert values(embedded, QUERY, passages) == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 0.1


def test_it_tells_bread_from_cars(embedded):
    bread, car = values(
        embedded, "how do I bake bread", [Passage("", "flour, water and an oven"), Passage("", "a fast car")]
    )
    assert bread > car + 0.05


def test_passages_are_read_after_their_title(embedded):
    apart, together = values(embedded, QUERY, [Passage("Tea", "is hot."), Passage("", "Tea is hot.")])
    # The same row of another batch, or of another number of threads, differs in its last bits.
    assert apart == pytest.approx(together, abs=1e-6)


def test_a_passage_seen_before_is_not_embedded_again(embedded, passages):
    scorer = BiEncoder(embedded.checkpoint)
    first = values(scorer, QUERY, passages)
    forwards = []
    hook = embedded.checkpoint.model.register_forward_pre_hook(lambda *_: forwards.append(1))
    try:
        again = values(scorer, QUERY, passages)
    finally:
        hook.remove()
    assert forwards == [1]  # the query
    assert again == first


def test_the_cache_keeps_the_rows_used_last():
    cache = EmbeddingCache(2)
    a, b, c = (torch.tensor([float(i)]) for i in range(3))
    cache.put("a", a)
    cache.put("b", b)
    assert cache.get("a") is a
    cache.put("c", c)
    assert cache.get("b") is None
    assert cache.get("a") is a
    assert cache.get("c") is c
    assert len(cache) == 2


def test_a_cache_of_none_keeps_none():
    cache = EmbeddingCache(0)
    cache.put("a", torch.zeros(1))
    assert cache.get("a") is None


def test_without_a_cache_the_scores_are_the_same(embedded, passages):
    assert values(BiEncoder(embedded.checkpoint, cache_size=0), QUERY, passages) == pytest.approx(
        values(embedded, QUERY, passages), abs=1e-6
    )


def test_threads_get_the_scores_of_their_own_query(embedded, passages):
    queries = ["bread", "a fast car", "numbers", QUERY]
    alone = {query: values(embedded, query, passages) for query in queries}
    scorer = BiEncoder(embedded.checkpoint)
    together = {}
    threads = [threading.Thread(target=lambda q=q: together.update({q: values(scorer, q, passages)})) for q in queries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for query in queries:
        assert together[query] == pytest.approx(alone[query], abs=1e-5)


def test_nan_is_an_error():
    scorer = load_scorer("e5-small", device="cpu", engine="transformers")
    parameter = next(scorer.checkpoint.model.parameters())
    parameter.data[101] = float("nan")  # [CLS]
    with pytest.raises(NonFiniteScore):
        values(scorer, QUERY, [Passage("", "a")])


def test_no_passages_no_scores(embedded):
    assert values(embedded, QUERY, []) == []


@pytest.mark.parametrize(
    ("modes", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first_token"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
    ],
)
@pytest.mark.parametrize("engine", ["transformers", "openvino"])
def test_sentence_transformers_own_pooling_is_kept(tmp_path, embedded_floats, modes, pooling, engine):
    for file in Path(embedded_floats).iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    scorer = load_scorer(str(tmp_path), device="cpu", dtype="float32", engine=engine)
    assert scorer.manifest.pooling == pooling

    plain = load_scorer("e5-small", device="cpu", engine="transformers")
    [row] = plain.prompt.texts(["a text of a few words"])
    with torch.inference_mode():
        states = plain.checkpoint.model(input_ids=torch.tensor([row.ids])).last_hidden_state[0]
    expected = states[0] if pooling == "first_token" else states.mean(0)
    longer = scorer.prompt.texts(["one that is a good deal longer than the one before it, so that there is padding"])
    vector, _ = scorer.engine.vectors([row, *longer])
    assert vector == pytest.approx(torch.nn.functional.normalize(expected, dim=0).numpy(), abs=1e-5)


def test_a_pooling_that_is_neither_is_refused(tmp_path, embedded_floats):
    for file in Path(embedded_floats).iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": false}')
    with pytest.raises(ModelError, match="neither the mean nor the first token"):
        load_scorer(str(tmp_path), device="cpu")
