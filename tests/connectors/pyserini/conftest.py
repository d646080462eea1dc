"""A searcher and a reranker that answer from memory, and Python with a JVM in a process of its own."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from connectors.pyserini.hits import LuceneHit
from sidecar.core.candidates import Ranked, Ranking

ROOT = Path(__file__).parents[3]


class ListSearcher:
    """Answers every query with the same list; remembers what it was asked."""

    def __init__(self, hits):
        self.hits = hits
        self.asked = []

    def search(self, query, k=10):
        self.asked.append((query, k))
        return self.hits[:k]


class TableReranker:
    """Scores passages by a table of their texts; a text that is not in it stays unscored."""

    def __init__(self, scores):
        self.scores = scores

    def rank_candidates(self, query, candidates):
        scored = [c for c in candidates if c.passage.text in self.scores]
        scored.sort(key=lambda c: (-self.scores[c.passage.text], c.rank))
        rest = [c for c in candidates if c.passage.text not in self.scores]
        hits = [
            Ranked(c, rank, self.scores.get(c.passage.text), self.scores.get(c.passage.text))
            for rank, c in enumerate(scored + rest, start=1)
        ]
        return Ranking(query, tuple(hits), {})


@pytest.fixture
def list_searcher():
    return ListSearcher


@pytest.fixture
def table_reranker():
    return TableReranker


@pytest.fixture
def lucene_hits():
    """Make the hits d1, d2, … of the texts given, with the scores 10, 9, … and Lucene's docids 101, 102, …."""

    def build(*texts):
        return [LuceneHit(f"d{i}", 11.0 - i, 100 + i, text) for i, text in enumerate(texts, start=1)]

    return build


@pytest.fixture
def fresh_python(fresh_python_for, tmp_path):
    """Run a script in a new Python with next to nothing in its environment; what else it needs goes in by name."""
    return fresh_python_for(tmp_path)


@pytest.fixture(scope="session")
def fresh_python_for():
    return python_in


def python_in(home):
    def command(script, **environment):
        bare = {"PYTHONPATH": str(ROOT), "HOME": str(home), "PATH": os.environ["PATH"], **environment}
        return {"args": [sys.executable, "-c", script], "env": bare, "cwd": home, "text": True}

    def run(script, *, timeout=300, **environment):
        return subprocess.run(**command(script, **environment), capture_output=True, timeout=timeout, check=False)

    run.command = command
    return run


@pytest.fixture(scope="session")
def animals(jvm, tmp_path_factory):
    """The directory of an index of four documents."""
    del jvm
    from connectors.pyserini.build import build_index
    from sidecar.core.corpus import Document

    directory = tmp_path_factory.mktemp("indexes") / "animals"
    documents = [
        Document("fox", "Red fox", "The quick fox jumps over the lazy dog."),
        Document("dog", "Dog", "A dog sleeps."),
        Document("cat", "Cat", "A cat watches a dog and another dog."),
        Document("emoji", "😀 漢字", "naïve café \x00 \ud800 end"),
    ]
    build_index(documents, directory, threads=1)
    return directory


@pytest.fixture(scope="session")
def anserini_index_in(jvm):
    """Build an index with Anserini's own IndexCollection, as one might have it from elsewhere."""

    def build(directory, collection, documents, *options):
        corpus = directory.with_name(f"{directory.name}-corpus")
        corpus.mkdir()
        (corpus / "documents.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
        arguments = ["-collection", collection, "-input", str(corpus), "-index", str(directory), "-threads", "1"]
        arguments += ["-generator", "DefaultLuceneDocumentGenerator", *options]
        jvm("io.anserini.index.IndexCollection").main(arguments)
        return directory

    return build


@pytest.fixture
def anserini_index(anserini_index_in, tmp_path):
    return partial(anserini_index_in, tmp_path / "index")


# pyserini 2.4 downloads tables of prebuilt indexes when much of it is imported; here they come from memory, and all
# else that is fetched can't be. RECORDS may be added to.
WITHOUT_NETWORK = """
import io, json, urllib.error, urllib.request
RECORDS = [
    {"name": name, "description": "", "filename": f"lucene-inverted.{name}.20221004.252b5e.tar.gz", "md5": "0" * 32,
     "urls": [f"https://prebuilt.example/{name}.tar.gz"], "size": 1}
    for name in ("msmarco-v1-passage", "msmarco-v1-passage.unicoil", "msmarco-v2-passage.unicoil-0shot")
]
FILES = {}
def urlopen(request, timeout=None):
    url = request if isinstance(request, str) else request.full_url
    if url.endswith(".json") and RECORDS:
        wanted = [one for one in RECORDS if ("unicoil" in one["name"]) == ("impact" in url)]
        return io.BytesIO(json.dumps([] if "hnsw" in url or "flat" in url or "faiss" in url else wanted).encode())
    if url in FILES:
        answer = io.BytesIO(FILES[url])
        answer.headers = {"Content-Length": str(len(FILES[url]))}
        return answer
    raise urllib.error.URLError("no network")
urllib.request.urlopen = urlopen
"""


@pytest.fixture(scope="session")
def without_network():
    """Begin a script for `fresh_python` that must reach nobody."""
    return WITHOUT_NETWORK
