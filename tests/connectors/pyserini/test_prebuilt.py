"""Prebuilt indexes by name: out of Pyserini's cache, fetched, or missing. Nothing here reaches a network."""

import hashlib
import io
import json
import shutil
import tarfile
from importlib.metadata import version

import pytest

from connectors.pyserini import RerankingSearcher
from connectors.pyserini.prebuilt import cached, find_index

live = pytest.mark.live

IS_2 = int(version("pyserini").partition(".")[0]) >= 2
MD5 = "678876e8c99a89933d553609a0fd8793"
SLIM = f"lucene-inverted.msmarco-v1-passage-slim.20221004.252b5e.{MD5}"
OLD = f"lucene-index.msmarco-v1-passage.20220131.9ea315.{MD5}"
NEW = f"lucene-inverted.msmarco-v1-passage.20221004.252b5e.{MD5}"
EXPANDED = f"lucene-inverted.msmarco-v1-passage.d2q-t5.20221004.252b5e.{MD5}"
HALF = "lucene-inverted.msmarco-v1-doc.20221004.252b5e"  # is given its checksum once it is unpacked
CACM = f"lucene-index.cacm.{MD5}"


@pytest.fixture
def cache(tmp_path):
    for name in (SLIM, OLD, NEW, EXPANDED, HALF, CACM):
        (tmp_path / "cache" / "indexes" / name).mkdir(parents=True)
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("msmarco-v1-passage", NEW),
        ("msmarco-v1-passage-slim", SLIM),
        ("msmarco-v1-passage.d2q-t5", EXPANDED),
        ("cacm", CACM),
        ("msmarco-v1-doc", None),
        ("msmarco-v1", None),
        ("beir", None),
    ],
)
def test_what_is_in_the_cache(cache, name, directory):
    found = cached(name, {"PYSERINI_CACHE": str(cache)})
    assert (found and found.name) == directory


def test_where_the_cache_is(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cached("cacm", {}) is None
    shutil.copytree(cache, tmp_path / "home" / ".cache" / "pyserini")
    assert cached("cacm", {}) == tmp_path / "home" / ".cache" / "pyserini" / "indexes" / CACM
    shutil.copytree(cache, tmp_path / ".cache" / "pyserini")
    assert cached("cacm", {}) == tmp_path / ".cache" / "pyserini" / "indexes" / CACM
    assert cached("cacm", {"PYSERINI_CACHE": str(tmp_path)}) is None


def test_a_directory_goes_before_a_name(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYSERINI_CACHE", str(cache))
    assert find_index("cacm") == cache / "indexes" / CACM
    (tmp_path / "cacm").mkdir()
    assert str(find_index("cacm")) == "cacm"
    assert str(find_index("somewhere/else")) == "somewhere/else"


OPENED = """
import sys
from connectors.pyserini import LuceneIndex
index = LuceneIndex("msmarco-v1-passage")
print(index.name, [hit.docid for hit in index.search("dog")])
print(sorted({"torch", "pandas", "pyserini.prebuilt_index_info", "pyserini.util"} & sys.modules.keys()))
"""


@live
def test_one_in_the_cache_is_opened_without_asking_anyone(tmp_path, fresh_python, animals):
    shutil.copytree(animals, tmp_path / "cache" / "indexes" / NEW)
    done = fresh_python(OPENED, PYSERINI_CACHE=str(tmp_path / "cache"))
    assert (done.stdout, done.stderr) == ("msmarco-v1-passage ['dog', 'cat', 'fox']\n[]\n", "")


@live
def test_a_reranking_searcher_by_name(tmp_path, animals, monkeypatch, table_reranker):
    shutil.copytree(animals, tmp_path / "indexes" / NEW)
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path))
    searcher = RerankingSearcher("msmarco-v1-passage", table_reranker({"A dog sleeps.": 1.0}))
    assert searcher.search("dog")[0].docid == "dog"


FETCHED = """
from connectors.pyserini import LuceneIndex
from sidecar.core.errors import SidecarError
try:
    print([hit.docid for hit in LuceneIndex({name!r}).search("dog")])
except SidecarError as error:
    print(type(error).__name__)
    print(error)
"""


@live
@pytest.mark.parametrize(
    ("name", "kind", "messages"),
    [
        (
            "msmarco-v1-passage",
            "EngineUnreachable",
            ["can't be fetched", "PYSERINI_CACHE"],
        ),
        ("msmarco-v1-pasage", "IndexNotFound", ["There is no directory", "did you mean msmarco-v1-passage"]),
        (
            "msmarco-v1-passage.unicoil",
            "ConfigurationError",
            ["holds learned sparse weights, which LuceneImpactSearcher searches; BM25 can't."],
        ),
    ],
)
def test_what_can_not_be_had(tmp_path, fresh_python, without_network, name, kind, messages):
    done = fresh_python(without_network + FETCHED.format(name=name), PYSERINI_CACHE=str(tmp_path / "cache"))
    assert done.stdout.splitlines()[0] == kind, done.stderr
    assert all(message in done.stdout for message in [f"'{name}'", *messages])


@live
def test_without_a_network_the_message_says_so(tmp_path, fresh_python, without_network):
    script = without_network + "RECORDS.clear()\n" + FETCHED.format(name="my-index")
    done = fresh_python(script, PYSERINI_CACHE=str(tmp_path / "cache"))
    # 1.6 has its list in the jar.
    why = (
        "the list of Pyserini's prebuilt indexes can't be reached: <urlopen error no network>."
        if IS_2
        else "no prebuilt index of Pyserini's has that name"
    )
    assert done.stdout.startswith(f"IndexNotFound\nThere is no directory 'my-index', and {why}"), done.stderr


@live
@pytest.mark.parametrize("whole", [True, False])
def test_one_is_fetched_by_pyserini_s_own_means(tmp_path, fresh_python, without_network, animals, whole):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(animals, arcname="lucene-inverted.tiny.20221004.252b5e")
    content = packed.getvalue()[: None if whole else 1000]
    (tmp_path / "tiny.tar.gz").write_bytes(content)
    record = {
        "name": "msmarco-tiny",
        "description": "",
        "filename": "lucene-inverted.tiny.20221004.252b5e.tar.gz",
        "md5": hashlib.md5(packed.getvalue()).hexdigest(),
        "urls": ["https://prebuilt.example/tiny.tar.gz"],
        "size": len(packed.getvalue()),
        "size compressed (bytes)": len(packed.getvalue()),
    }
    script = f"""{without_network}
FILES["https://prebuilt.example/tiny.tar.gz"] = open({str(tmp_path / "tiny.tar.gz")!r}, "rb").read()
RECORDS.append(json.loads({json.dumps(record)!r}))
from connectors.pyserini.jvm import start_jvm
start_jvm()
import pyserini.prebuilt_index_info as tables
if isinstance(tables.TF_INDEX_INFO, dict):  # 1.6 has its list from the jar
    tables.TF_INDEX_INFO["msmarco-tiny"] = RECORDS[-1]
{FETCHED.format(name="msmarco-tiny")}"""
    done = fresh_python(script, PYSERINI_CACHE=str(tmp_path / "cache"))
    if whole:
        assert done.stdout == "['dog', 'cat', 'fox']\n", done.stderr
        kept = tmp_path / "cache" / "indexes" / f"lucene-inverted.tiny.20221004.252b5e.{record['md5']}"
        assert kept.is_dir()
        assert "Downloading" in done.stderr
    else:
        message = "EngineError\nThe prebuilt index 'msmarco-tiny' was not downloaded completely: "
        assert done.stdout.startswith(message), done.stderr
