import json

import pytest

live = pytest.mark.live

# Importing pyserini.search.lucene takes 7 to 35 s, so all that concerns the real LuceneSearcher is in one test.
SCRIPT = """
import json
{first}
{second}
from connectors.pyserini.searcher import RerankingSearcher
from sidecar.candidates import Ranked, Ranking

class Backwards:
    def rank(self, query, candidates):
        turned = list(reversed(candidates))
        hits = [Ranked(c, rank, -float(rank), -float(rank)) for rank, c in enumerate(turned, start=1)]
        return Ranking(query, tuple(hits), {{}})

def seen(searcher):
    hits = RerankingSearcher(searcher, Backwards()).search("dogs")
    batch = RerankingSearcher(searcher, Backwards()).batch_search(["dogs", "zebra"], ["1", "2"], threads=2)
    assert batch == {{"1": hits, "2": []}}, batch
    return [[h.docid, h.score, h.lucene_docid, h.raw, h.first_stage_score, h.first_stage_rank] for h in hits]

theirs = LuceneSearcher({animals!r})
theirs.set_bm25(1.2, 0.75)
print(json.dumps([seen(theirs), seen(LuceneIndex({animals!r}, k1=1.2, b=0.75))]))
"""


@live
def test_a_real_lucene_searcher_gives_what_our_index_gives(fresh_python, animals):
    script = SCRIPT.format(
        animals=str(animals),
        first="from connectors.pyserini.index import LuceneIndex\nLuceneIndex(" + repr(str(animals)) + ")",
        second="from pyserini.search.lucene import LuceneSearcher",
    )
    done = fresh_python(script, OPENAI_API_KEY="not-used")
    if done.returncode and "prebuilt_index_info.py" in done.stderr and "URLError" in done.stderr:
        pytest.skip("pyserini 2.x downloads a catalogue when pyserini.search.lucene is imported; there is no network")
    assert done.returncode == 0, done.stderr
    theirs, ours = json.loads(done.stdout.splitlines()[-1])
    assert [row[0] for row in theirs] == ["fox", "cat", "dog"]
    assert [row[1] for row in theirs] == [-1.0, -2.0, -3.0]
    assert [row[5] for row in theirs] == [3, 2, 1]
    assert theirs == ours
