import contextlib
import json
import signal
import stat
import subprocess
import time

import pytest

from connectors.pyserini import build
from connectors.pyserini.build import build_index
from connectors.pyserini.index import LuceneIndex
from sidecar.core.corpus import Document, read_corpus
from sidecar.core.errors import ConfigurationError, EngineError, InputError

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("jvm")]

TWO = [Document("a", "Title", "some words"), Document("b", "", "other words")]


def test_what_is_stored_is_what_pyserini_stores_of_beir(tmp_path):
    report = build_index(TWO, tmp_path / "index")
    assert (report.indexed, report.empty) == (2, 0)
    with LuceneIndex(tmp_path / "index") as index:
        assert index.doc("a").raw == '{\n  "_id" : "a",\n  "title" : "Title",\n  "text" : "some words"\n}'
        assert [hit.docid for hit in index.search("title")] == ["a"]


def test_empty_documents_are_left_out_and_counted(tmp_path):
    documents = [*TWO, Document("c", "", ""), Document("d", " ", "\n"), Document("e", "only a title", "")]
    report = build_index(documents, tmp_path / "index")
    assert (report.indexed, report.empty) == (3, 2)
    with LuceneIndex(tmp_path / "index") as index:
        assert len(index) == 3
        assert index.doc("c") is None
        assert json.loads(index.doc("e").raw)["title"] == "only a title"


def test_no_documents_give_an_index_that_finds_nothing(tmp_path):
    assert build_index([], tmp_path / "index").indexed == 0
    with LuceneIndex(tmp_path / "index") as index:
        assert index.search("words") == []


@pytest.mark.parametrize("threads", [1, 3])
def test_many_documents_in_many_batches(tmp_path, threads):
    progress = []
    documents = (Document(str(i), f"title{i}", f"text{i}") for i in range(2500))
    report = build_index(documents, tmp_path / "index", threads=threads, progress=progress.append)
    assert progress == [1000, 2000, 2500]
    assert report.indexed == 2500
    with LuceneIndex(tmp_path / "index") as index:
        assert len(index) == 2500
        assert [hit.docid for hit in index.search("text1789")] == ["1789"]


def test_a_large_document_makes_a_batch_of_its_own(tmp_path):
    progress = []
    documents = [TWO[0], Document("large", "", "needle " + "hay " * 2_500_000), TWO[1]]
    build_index(documents, tmp_path / "index", progress=progress.append)
    assert progress == [2, 3]
    with LuceneIndex(tmp_path / "index") as index:
        [hit] = index.search("needle")
        assert len(json.loads(hit.raw)["text"]) == 10_000_007


def test_writing_out_now_and_then_keeps_every_document(tmp_path, jvm):
    with build._Writer(jvm, tmp_path / "index", threads=2, flush_characters=1) as writer:
        for start in range(0, 50, 10):
            writer.add([Document(str(i), "", f"text{i}") for i in range(start, start + 10)])
    with LuceneIndex(tmp_path / "index") as index:
        assert len(index) == 50
        assert [hit.docid for hit in index.search("text3")] == ["3"]


def test_a_docid_that_comes_twice_leaves_nothing_behind(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"_id": "a", "text": "x"}\n{"_id": "b", "text": "y"}\n{"_id": "a", "text": "z"}\n')
    with pytest.raises(InputError, match=f"^{corpus}:3: the docid 'a' was there before"):
        build_index(read_corpus(corpus), tmp_path / "index")
    assert list(tmp_path.iterdir()) == [corpus]


def test_what_lucene_refuses_is_named(tmp_path):
    documents = [Document("a", "", "x", "c:1"), Document("b" * 40_000, "", "y", "c:2")]
    with pytest.raises(InputError, match=r"Lucene refused a document, c:2"):
        build_index(documents, tmp_path / "index")
    with pytest.raises(InputError, match="Lucene refused a document, c:3: StreamConstraintsException: "):
        build_index([Document("c", "", "z" * 20_000_001, "c:3")], tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_memory_that_runs_out_is_no_fault_of_the_documents(fresh_python_for, tmp_path):
    script = """
import random
from connectors.pyserini.build import build_index
from connectors.pyserini.jvm import start_jvm
from sidecar.core.corpus import Document
from sidecar.core.errors import EngineError

start_jvm(heap="64m")
numbers = random.Random(0)
try:
    build_index((Document(str(i), "", " ".join(str(numbers.random()) for _ in range(150))) for i in range(20000)), "i")
except EngineError as error:
    print(error)
"""
    # Without memory the JVM may also stop for good, if the thread that has none left is one of the JDK's own.
    done = None
    for attempt in ("first", "second", "third"):
        folder = tmp_path / attempt
        folder.mkdir()
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = fresh_python_for(folder)(script, timeout=40)
            break
    assert done is not None
    assert done.stdout.startswith("Lucene stopped writing, docid '")
    assert "JAVA_TOOL_OPTIONS=-Xmx4g" in done.stdout
    assert list(folder.iterdir()) == []


def test_a_fault_in_the_source_of_the_documents_leaves_nothing_behind(tmp_path):
    def documents():
        yield TWO[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(documents(), tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_directories_on_the_way_are_made_and_rights_are_the_usual(tmp_path):
    (tmp_path / "usual").mkdir()
    build_index(TWO, tmp_path / "deep" / "down" / "index")
    mode = stat.S_IMODE((tmp_path / "deep" / "down" / "index").stat().st_mode)
    assert mode == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_an_empty_directory_is_taken(tmp_path):
    (tmp_path / "index").mkdir()
    assert build_index(TWO, tmp_path / "index").indexed == 2


def test_an_index_is_replaced_only_on_demand(tmp_path):
    build_index(TWO, tmp_path / "index")
    with pytest.raises(ConfigurationError, match="not empty") as error:
        build_index(TWO[:1], tmp_path / "index")
    assert "overwrite" in error.value.remedy
    build_index(TWO[:1], tmp_path / "index", overwrite=True)
    with LuceneIndex(tmp_path / "index") as index:
        assert len(index) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "index"]


def test_an_index_stays_if_its_replacement_fails(tmp_path):
    build_index(TWO, tmp_path / "index")
    with pytest.raises(InputError):
        build_index([TWO[0], TWO[0]], tmp_path / "index", overwrite=True)
    with LuceneIndex(tmp_path / "index") as index:
        assert len(index) == 2
    assert list(tmp_path.iterdir()) == [tmp_path / "index"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_index_is_never_overwritten(tmp_path, overwrite):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "holiday.jpg").touch()
    with pytest.raises(ConfigurationError, match="not empty"):
        build_index(TWO, folder, overwrite=overwrite)
    with pytest.raises(ConfigurationError, match="is a file"):
        build_index(TWO, folder / "holiday.jpg", overwrite=overwrite)
    assert [path.name for path in folder.iterdir()] == ["holiday.jpg"]


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="can't be written"):
        build_index(TWO, tmp_path / "file" / "index")


def test_killed_in_the_middle_nothing_is_at_the_target(tmp_path, fresh_python):
    script = """
import time
from pathlib import Path
from connectors.pyserini.build import build_index
from sidecar.core.corpus import Document

def documents():
    for i in range(1500):
        yield Document(str(i), "", f"text{i}")
    print("half", flush=True)
    time.sleep(60)

build_index(documents(), Path("index"))
"""
    process = subprocess.Popen(**fresh_python.command(script), stdout=subprocess.PIPE)
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "index").exists()
    started = time.monotonic()
    assert build_index(TWO, tmp_path / "index").indexed == 2
    assert time.monotonic() - started < 30
