"""Topics from both kinds of files."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from sidecar.core.corpus import read_corpus
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.experiments.qrels import read_qrels
from sidecar.experiments.topics import read_topics


def read(folder, text):
    path = folder / "topics"
    path.write_text(text, encoding="utf-8")
    return list(read_topics(path))


@pytest.mark.parametrize(
    "text",
    [
        "1\tred fox\n2\ta dog\twith a tab\n",
        '{"_id": "1", "text": "red fox"}\n{"_id": 2, "text": "a dog\\twith a tab"}\n',
        '{"qid": 1, "query": "red fox"}\n{"query_id": "2", "title": "a dog\\twith a tab", "query": null}\n',
    ],
)
def test_topics(tmp_path, text):
    assert read(tmp_path, text) == [("1", "red fox"), ("2", "a dog\twith a tab")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no query"),
        ("query_id\ttext\n", "holds no query"),
        ("1\tfox\nquery_id\ttext x\nquery_id\ttext\n", "topics:3: the query 'query_id' was there before"),
        ("<top>\n<num> 1\n</top>\n", "topics:1: this <top> has no <title>"),
        ("<top>\n<title> fox\n</top>\n", "topics:1: this <top> has no <num>"),
        ("<top>\n<num> 1\n<title> fox\n", "topics:1: this <top> has no </top>"),
        ("<top>\n<num> 1\n<title> a\n<top>\n", "topics:1: this <top> has no </top>"),
        ("<top>\n<num> 1\n<title> a\n</top>\nmore\n", "topics:5: outside of any <top>"),
        ("[{}", "topics: not a JSON array"),
        ("query-id\tcorpus-id\tscore\n1\td\t1\n", "topics:1: no topic but a line of judgements"),
        ("1\t0\td\t1\n", "topics:1: no topic but a line of judgements"),
        ("1\td\t1\n", "topics:1: no topic but a line of judgements"),
        ("1\tfox\n2 dog\n", "topics:2: no topic"),
        ("1\tfox\n1\tdog\n", "topics:2: the query '1' was there before"),
        ("1\t \n", "topics:1: the query '1' is empty"),
        ("\tfox\n", "topics:1: '' is not a query id"),
        ('{"_id": "1"}\n', "topics:1: no text"),
        ('{"text": "fox"}\n', "topics:1: no id"),
        ("{broken\n", "topics:1: no JSON object"),
    ],
)
def test_a_malformed_topic_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


TREC = """<top>
<num> Number: 301
<title> International
   Organized Crime

<desc> Description:
Identify organizations.
<narr> Narrative:
A relevant document <must> name one.
</top>

<top>

<num> Number:  302 </num>
<title> Topic: Poliomyelitis and Post-Polio </title>
</top>
"""


def test_trec_topics_by_their_titles(tmp_path):
    assert read(tmp_path, TREC) == [
        ("301", "International Organized Crime"),
        ("302", "Poliomyelitis and Post-Polio"),
    ]


def test_a_beir_folder_gives_the_queries_of_its_judgements(tmp_path):
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "fox"}\n{"_id": "2", "text": "dog"}\n')
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "title": "A", "text": "x"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n")
    assert (list(read_topics(tmp_path)), read_qrels(tmp_path)) == ([("1", "fox")], {"1": {"a": 1}})
    (tmp_path / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n")
    with pytest.raises(InputError, match=r"test.tsv is wanted and there are several: dev.tsv, train.tsv"):
        read_qrels(tmp_path)
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n2\ta\t1\n")
    assert (list(read_topics(tmp_path)), read_qrels(tmp_path)) == ([("2", "dog")], {"2": {"a": 1}})
    assert [(one.docid, one.title) for one in read_corpus(tmp_path)] == [("a", "A")]


def test_a_folder_without_queries_is_named(tmp_path):
    with pytest.raises(InputError, match=r"has no queries.jsonl"):
        list(read_topics(tmp_path))


STUB = """
from collections import namedtuple
__version__ = "0.0.test"
Query = namedtuple("Query", "query_id text")
Topic = namedtuple("Topic", "query_id title description")
Topic.default_text = lambda self: self.title
Judged = namedtuple("Judged", "query_id doc_id relevance iteration")

class Unreachable(list):
    def __iter__(self): raise ConnectionError("no route")

class Dataset:
    def __init__(self, queries): self.queries = queries
    def has_queries(self): return True
    def has_qrels(self): return len(self.queries) < 2
    def queries_iter(self): return iter(self.queries)
    def qrels_iter(self): return iter([Judged("1", "d", 2, "0")])

def load(name):
    return {
        "msmarco-passage/trec-dl-2019/judged": Dataset([Query("1", "fox")]),
        "beir/offline": Dataset(Unreachable()),
        "beir/two": Dataset([Topic("1", "fox", "long"), Topic("2", "dog", "long")]),
    }[name]
"""


@pytest.fixture
def ir_datasets(tmp_path, monkeypatch):
    (tmp_path / "ir_datasets.py").write_text(STUB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ir_datasets", raising=False)
    yield
    sys.modules.pop("ir_datasets", None)


@pytest.mark.usefixtures("ir_datasets")
def test_topics_and_qrels_by_the_names_of_pyserini_and_ir_datasets():
    assert list(read_topics(Path("dl19-passage"))) == [("1", "fox")]
    assert read_qrels(Path("dl19-passage")) == {"1": {"d": 2}}
    assert list(read_topics(Path("irds:beir/two"))) == [("1", "fox"), ("2", "dog")]
    with pytest.raises(InputError, match="the dataset beir/two has no qrels"):
        read_qrels(Path("irds:beir/two"))
    with pytest.raises(InputError, match="ir_datasets can't give the queries of beir/offline: no route"):
        list(read_topics(Path("irds:beir/offline")))
    with pytest.raises(InputError, match="ir_datasets knows no nothing/here"):
        list(read_topics(Path("irds:nothing/here")))


@pytest.mark.usefixtures("ir_datasets")
def test_a_file_goes_before_a_dataset_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dl19-passage").write_text("7\tof the file\n")
    assert list(read_topics(Path("dl19-passage"))) == [("7", "of the file")]


@pytest.mark.skipif(importlib.util.find_spec("ir_datasets") is not None, reason="ir_datasets is installed")
def test_a_name_without_ir_datasets_says_what_to_install():
    with pytest.raises(ConfigurationError, match=r"not installed\.(.|\n)*rerank-sidecar\[datasets\]"):
        list(read_topics(Path("dl19-passage")))
