import subprocess
import sys

import pytest

from sidecar.demo_corpus import standard_library


@pytest.fixture(scope="module")
def documents():
    return standard_library()


@pytest.fixture(scope="module")
def texts(documents):
    return {document.title: document.text for document in documents}


def test_several_thousand_in_order_each_once_each_with_text(documents):
    titles = [document.title for document in documents]
    assert 4000 < len(titles) < 8000
    assert titles == sorted(set(titles))
    assert [document.docid for document in documents] == titles
    assert [document.title for document in documents if not document.text.strip()] == []


@pytest.mark.parametrize(
    ("title", "beginning"),
    [
        ("tempfile.TemporaryDirectory", "Create and return a temporary directory."),
        ("functools.lru_cache", "Least-recently-used cache decorator."),
        ("threading.Timer", "Call a function after a specified number of seconds:"),
        ("len", "Return the number of items in a container."),
        ("str.upper", "Return a copy of the string converted to uppercase."),
        ("heapq", "Heap queue algorithm"),
    ],
)
def test_titles_are_qualified_names_and_texts_their_docstrings(texts, title, beginning):
    assert texts[title].startswith(beginning)


@pytest.mark.parametrize(
    ("kept", "dropped"),
    [
        ("asyncio.Queue", "asyncio.queues.Queue"),
        ("os.path.join", "posixpath.join"),
        ("os.listdir", "posix.listdir"),
        ("io.StringIO", "_io.StringIO"),
        ("collections.namedtuple", "doctest.namedtuple"),
        ("len", "builtins.len"),
    ],
)
def test_a_thing_of_several_names_is_there_by_its_best(texts, kept, dropped):
    assert kept in texts
    assert dropped not in texts


def test_the_same_in_a_fresh_process_without_a_word(documents):
    command = (
        "from sidecar.demo_corpus import standard_library as s; import hashlib; "
        "print(hashlib.sha256(repr(s()).encode()).hexdigest()); import sys; assert 'turtle' not in sys.modules"
    )
    runs = [
        subprocess.run([sys.executable, "-W", "error", "-c", command], capture_output=True, check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.strip()) == 64
    assert (runs[0].stderr, runs[1].stderr) == (b"", b"")
