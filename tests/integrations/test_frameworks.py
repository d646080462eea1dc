"""Each integration in the framework that it is for, with the default model."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from sidecar import Fusion, load_reranker
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.fusion import Method

pytestmark = [
    pytest.mark.integrations,
    # Of the frameworks' own doing, while they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
QUERY = "how long does a flea live"
TEXTS = ["Dogs bark at night.", "A flea lives for about a hundred days.", "", "Cats chase mice."]


@pytest.fixture(scope="module")
def reranker():
    return load_reranker(device="cpu")


@pytest.fixture(scope="module")
def expected(reranker):
    """Positions and scores, best first; the empty text is the last."""
    readable = [0, 1, 3]
    ranked = reranker.rank(QUERY, [TEXTS[index] for index in readable])
    return [(readable[one.index], one.score) for one in ranked] + [(2, None)]


class TestLangChain:
    @pytest.fixture
    def documents(self):
        from langchain_core.documents import Document

        return [Document(text, metadata={"source": str(index)}) for index, text in enumerate(TEXTS)]

    def test_documents_come_best_first_with_their_scores(self, reranker, documents, expected):
        from sidecar.integrations.langchain import SidecarReranker

        compressor = SidecarReranker(model=reranker)
        for found in (
            compressor.compress_documents(documents, QUERY),
            asyncio.run(compressor.acompress_documents(documents, QUERY)),
        ):
            assert [(int(one.metadata["source"]), one.metadata["relevance_score"]) for one in found] == expected
        assert expected[0][0] == 1
        assert "relevance_score" not in documents[0].metadata
        assert len(SidecarReranker(model=reranker, top_n=2).compress_documents(documents, QUERY)) == 2
        assert compressor.compress_documents([], QUERY) == []

    def test_it_compresses_behind_a_retriever(self, reranker, documents):
        from langchain_core.retrievers import BaseRetriever
        from langchain_core.runnables import RunnableLambda, RunnablePassthrough

        from sidecar.integrations.langchain import SidecarReranker

        class Fixed(BaseRetriever):
            def _get_relevant_documents(self, query, *, run_manager):
                return documents

        compressor = SidecarReranker(model=reranker, top_n=1)
        chain = {"documents": Fixed(), "query": RunnablePassthrough()} | RunnableLambda(
            lambda found: compressor.compress_documents(**found)
        )
        assert [one.page_content for one in chain.invoke(QUERY)] == [TEXTS[1]]

    def test_the_title_is_read(self, reranker):
        from langchain_core.documents import Document

        from sidecar.integrations.langchain import SidecarReranker

        given = [Document("It lives long.", metadata={"title": "Flea"})]
        (found,) = SidecarReranker(model=reranker).compress_documents(given, QUERY)
        (plain,) = SidecarReranker(model=reranker, title_key=None).compress_documents(given, QUERY)
        assert found.metadata["relevance_score"] == reranker.rank(QUERY, [("Flea", "It lives long.")])[0].score
        assert plain.metadata["relevance_score"] == reranker.rank(QUERY, ["It lives long."])[0].score

    def test_what_is_wrong_is_refused(self, reranker, documents):
        from sidecar.integrations.langchain import SidecarReranker

        with pytest.raises(InputError, match="the query is empty"):
            SidecarReranker(model=reranker).compress_documents(documents, " ")
        with pytest.raises(ConfigurationError, match="top_n is 0"):
            SidecarReranker(model=reranker, top_n=0)
        with pytest.raises(ConfigurationError, match="device can't change a reranker"):
            SidecarReranker(model=reranker, options={"device": "cpu"})
        with pytest.raises(ValueError, match="top_k"):
            SidecarReranker(model=reranker, top_k=3)


class TestLlamaIndex:
    @pytest.fixture
    def nodes(self):
        from llama_index.core.schema import NodeWithScore, TextNode

        return [NodeWithScore(node=TextNode(text=text, id_=str(index)), score=0.5) for index, text in enumerate(TEXTS)]

    def test_nodes_come_best_first_with_their_scores(self, reranker, nodes, expected):
        from sidecar.integrations.llamaindex import SidecarPostprocessor

        found = SidecarPostprocessor(reranker).postprocess_nodes(nodes, query_str=QUERY)
        assert [(int(one.node.node_id), one.score) for one in found] == expected
        assert [one.score for one in nodes] == [0.5] * 4
        found = asyncio.run(SidecarPostprocessor(reranker, top_n=1).apostprocess_nodes(nodes, query_str=QUERY))
        assert [one.node.node_id for one in found] == ["1"]

    def test_it_works_in_a_query_engine(self, reranker, nodes):
        from llama_index.core import Settings
        from llama_index.core.llms import MockLLM
        from llama_index.core.query_engine import RetrieverQueryEngine
        from llama_index.core.retrievers import BaseRetriever

        from sidecar.integrations.llamaindex import SidecarPostprocessor

        class Fixed(BaseRetriever):
            def _retrieve(self, query_bundle):
                return nodes

        Settings.llm = MockLLM()
        engine = RetrieverQueryEngine.from_args(
            Fixed(),
            response_mode="no_text",
            node_postprocessors=[SidecarPostprocessor(reranker, top_n=1)],
        )
        assert [one.node.get_content() for one in engine.query(QUERY).source_nodes] == [TEXTS[1]]

    def test_a_missing_query_is_refused(self, reranker, nodes):
        from sidecar.integrations.llamaindex import SidecarPostprocessor

        with pytest.raises(InputError, match="needs the query"):
            SidecarPostprocessor(reranker).postprocess_nodes(nodes)


class TestHaystack:
    @pytest.fixture
    def documents(self):
        from haystack import Document

        return [Document(id=str(index), content=text or None) for index, text in enumerate(TEXTS)]

    def test_documents_come_best_first_through_a_pipeline_and_its_file(self, documents, expected):
        from haystack import Pipeline

        from sidecar.integrations.haystack import SidecarRanker

        pipeline = Pipeline()
        pipeline.add_component("ranker", SidecarRanker(top_k=3, device="cpu"))
        again = Pipeline.loads(pipeline.dumps(), allowed_modules=["sidecar.integrations.haystack"])
        for one in (pipeline, again):
            found = one.run({"ranker": {"query": QUERY, "documents": documents}})["ranker"]["documents"]
            assert [(int(doc.id), doc.score) for doc in found] == [
                (index, pytest.approx(score)) for index, score in expected[:3]
            ]
        assert [doc.score for doc in documents] == [None] * 4
        found = pipeline.run({"ranker": {"query": QUERY, "documents": documents, "top_k": 4}})["ranker"]["documents"]
        assert (found[-1].id, found[-1].score) == ("2", None)

    def test_behind_a_bm25_retriever(self):
        from haystack import Document, Pipeline
        from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        from sidecar.integrations.haystack import SidecarRanker

        store = InMemoryDocumentStore()
        store.write_documents([Document(content=text) for text in TEXTS if text])
        pipeline = Pipeline()
        pipeline.add_component("bm25", InMemoryBM25Retriever(store, top_k=3))
        pipeline.add_component("ranker", SidecarRanker(top_k=1))
        pipeline.connect("bm25", "ranker")
        found = pipeline.run({"bm25": {"query": QUERY}, "ranker": {"query": QUERY}})["ranker"]["documents"]
        assert [doc.content for doc in found] == [TEXTS[1]]

    def test_a_wrong_number_is_refused(self, documents):
        from sidecar.integrations.haystack import SidecarRanker

        with pytest.raises(ConfigurationError, match="top_k is 0"):
            SidecarRanker(top_k=0)
        with pytest.raises(ConfigurationError, match="top_k is -1"):
            SidecarRanker().run(QUERY, documents, top_k=-1)


class TestPyTerrier:
    @pytest.fixture
    def frame(self):
        import pandas as pd

        rows = [("q1", QUERY, f"d{index}", text, 9.0 - index) for index, text in enumerate(TEXTS)]
        rows += [("q2", "who chases mice", f"d{index}", text, 5.0 - index) for index, text in enumerate(TEXTS[::-1])]
        return pd.DataFrame(rows, columns=["qid", "query", "docno", "text", "score"])

    @pytest.fixture
    def first(self, frame):
        import pyterrier as pt

        return pt.Transformer.from_df(pt.model.add_ranks(frame.copy()))

    def test_the_expression_gives_what_rank_candidates_gives(self, reranker, frame, first):
        from sidecar.core.candidates import Candidate, Passage
        from sidecar.integrations.pyterrier import Sidecar

        found = (first % 100 >> Sidecar(reranker))(frame[["qid", "query"]].drop_duplicates())
        for qid, group in found.groupby("qid"):
            mine = frame[frame.qid == qid]
            candidates = [
                Candidate(row.docno, rank, row.score, Passage("", row.text))
                for rank, row in enumerate(mine.itertuples(), 1)
            ]
            ranking = reranker.rank_candidates(mine["query"].iloc[0], candidates)
            assert list(group.docno) == [hit.candidate.docid for hit in ranking.hits]
            assert list(group["rank"]) == [0, 1, 2, 3]
            assert list(group.rerank_score)[:3] == [hit.rerank_score for hit in ranking.hits][:3]
            assert group.rerank_score.isna().sum() == 1
            assert group.score.is_monotonic_decreasing
            assert group.score.is_unique
        assert set(found.columns) >= {"qid", "query", "docno", "text", "score", "rank"}

    def test_an_experiment_compares_it_with_the_first_stage(self, reranker, frame, first):
        import pandas as pd
        import pyterrier as pt

        from sidecar.integrations.pyterrier import Sidecar

        qrels = pd.DataFrame([("q1", "d1", 1), ("q2", "d0", 1)], columns=["qid", "docno", "label"])
        topics = frame[["qid", "query"]].drop_duplicates()
        alone = Sidecar(model="e5-small", fusion=Fusion(Method.RERANK))
        systems = [first, first >> alone]
        table = pt.Experiment(systems, topics, qrels, ["recip_rank"], names=["BM25", "reranked"], plan="tree")
        assert list(table.recip_rank) == [(1 / 2 + 1) / 2, 1.0]

    def test_without_scores_the_model_alone_decides(self, reranker, frame):
        from sidecar.integrations.pyterrier import Sidecar

        found = Sidecar(reranker)(frame.drop(columns=["score"]))
        assert found[found.qid == "q1"].docno.iloc[0] == "d1"
        with pytest.raises(InputError, match="needs the first stage's scores"):
            Sidecar("e5-small", fusion=Fusion(Method.LINEAR, weight=0.5))(frame.drop(columns=["score"]))

    def test_an_empty_frame_is_one(self, reranker, frame):
        from sidecar.integrations.pyterrier import Sidecar

        found = Sidecar(reranker)(frame[:0])
        assert (len(found), {"score", "rank", "rerank_score"} <= set(found.columns)) == (0, True)

    def test_what_is_wrong_is_refused(self, reranker, frame):
        from sidecar.integrations.pyterrier import Sidecar

        with pytest.raises(KeyError, match="body"):
            Sidecar(reranker, text_field="body")(frame)
        with pytest.raises(InputError, match="has the score nan"):
            Sidecar(reranker)(frame.assign(score=float("nan")))
        with pytest.raises(InputError, match="has 2 different texts"):
            Sidecar(reranker)(frame.assign(qid="q1"))


def test_importing_sidecar_imports_no_framework():
    script = (
        "import sys, sidecar, sidecar.integrations, sidecar.integrations.sentence_transformers\n"
        "names = {'langchain_core', 'llama_index', 'haystack', 'pyterrier', 'ray', 'mcp', 'torch'}\n"
        "print(sorted(names & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("module", "framework", "extra"),
    [
        ("langchain", "langchain_core", "langchain"),
        ("llamaindex", "llama_index", "llamaindex"),
        ("haystack", "haystack", "haystack"),
        ("pyterrier", "pyterrier", "pyterrier"),
    ],
)
def test_a_missing_framework_is_named_with_its_extra(module, framework, extra):
    script = (
        f"import sys; sys.modules[{framework!r}] = None\n"
        f"try:\n    import sidecar.integrations.{module}\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"pip install 'rerank-sidecar[{extra}]'" in done.stdout
