"""`predict` and `rank` equal those of sentence-transformers on the same checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from sidecar.core.errors import InputError
from sidecar.integrations.sentence_transformers import CrossEncoder

QUERY = "how long does a flea live"
TEXTS = ["Dogs bark at night.", "A flea lives for about a hundred days.", "Cats chase mice."]
PAIRS = [(QUERY, TEXTS[0]), ("who chases mice", TEXTS[2]), (QUERY, TEXTS[1])]


@pytest.fixture(scope="module")
def both(tiny_bert):
    import torch
    from sentence_transformers import CrossEncoder as Theirs

    theirs = Theirs(str(tiny_bert), device="cpu", activation_fn=torch.nn.Identity())
    return CrossEncoder(str(tiny_bert), device="cpu"), theirs


def test_predict_gives_their_scores(both):
    ours, theirs = both
    found = ours.predict(PAIRS)
    assert (found.dtype, found.shape) == (np.float32, (3,))
    np.testing.assert_allclose(found, theirs.predict(PAIRS), atol=1e-4)
    one = ours.predict(PAIRS[1])
    assert (np.ndim(one), one) == (0, pytest.approx(found[1], abs=1e-5))
    assert ours.predict([]).shape == (0,)
    np.testing.assert_allclose(ours.predict([PAIRS[0], PAIRS[0]]), found[[0, 0]], atol=1e-5)


def test_rank_gives_their_order(both):
    ours, theirs = both
    for options in ({}, {"top_k": 2}, {"return_documents": True}):
        found, wanted = ours.rank(QUERY, TEXTS, **options), theirs.rank(QUERY, TEXTS, **options)
        assert [{**one, "score": 0} for one in found] == [{**one, "score": 0} for one in wanted]
        np.testing.assert_allclose([one["score"] for one in found], [one["score"] for one in wanted], atol=1e-4)


def test_what_is_wrong_is_refused(both):
    ours, _ = both
    with pytest.raises(InputError, match=r"inputs\[1\] is 'ab', not a pair"):
        ours.predict([PAIRS[0], "ab"])
    with pytest.raises(InputError, match="the query is empty"):
        ours.predict([("", "text")])
    with pytest.raises(InputError, match="top_k is 0"):
        ours.rank(QUERY, TEXTS, top_k=0)
    with pytest.raises(TypeError, match="apply_softmax"):
        ours.predict(PAIRS, apply_softmax=True)
