"""Fixtures of all tests: candidates, commands, judged collections, tiny models, the JVM and OpenSearch nodes."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from connectors.opensearch.transport import connect
from sidecar.core.candidates import Candidate, Passage
from tests.support.attack.report import (
    pytest_sessionfinish,  # noqa: F401  a hook
    pytest_terminal_summary,  # noqa: F401  a hook
    pytest_testnodedown,  # noqa: F401  a hook
)
from tests.support.live import elasticsearch_node
from tests.support.live.cleaned import cleaned
from tests.support.live.nodes import NODES, WITH_PLUGINS, running_elasticsearch, running_node

# Marker → the fixtures that make a test one of its kind, so that nobody has to remember the marker.
FIXTURES = {
    "live": {"opensearch_url", "elasticsearch_url", "ml_node", "secure_node", "jvm"},
    "data": {"judged"},
    "browser": {"chromium"},
    "peers": {"peers"},
    "model": {"tiny_models", "tiny_llama", "tiny_bert", "tiny_kin", "tiny_shape"},
}
# Marker → the helpers that make every test of a module that imports them one of its kind.
HELPERS = {
    "model": {f"tests.support.models.{name}" for name in ("tiny_generator", "tiny_zoo", "values")},
    "service": {f"tests.support.servers.{name}" for name in ("loading_service", "served", "service_process")},
}

# The version of a node in the name of a test (a parameter of `opensearch_url` or `elasticsearch_url`), and the fixtures
# of a node with plugins in its file.
VERSION = re.compile(rf"[\[-]({'|'.join(map(re.escape, [*NODES, *elasticsearch_node.VERSIONS]))})[\]-]")
USES_PLUGINS = re.compile(r"\b(ml_node|secure_node)\b")


@pytest.hookimpl(tryfirst=True)  # before -m chooses by the markers
def pytest_collection_modifyitems(items):
    for item in items:
        helpers = {getattr(value, "__module__", None) for value in vars(item.module).values()}
        kinds = {kind for kind, names in FIXTURES.items() if not names.isdisjoint(item.fixturenames)}
        kinds |= {kind for kind, names in HELPERS.items() if not names.isdisjoint(helpers)}
        for kind in sorted(kinds):
            item.add_marker(kind)


def pytest_make_parametrize_id(val, argname):
    """Name a parameter of binary bytes by its argument: gzip's hold the time, and all workers must agree on names."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let one worker of pytest-xdist run all tests on a node, and all others of a file: nothing is started twice."""
    from xdist.scheduler import LoadScopeScheduling

    class ByNodeOrFile(LoadScopeScheduling):
        @functools.cache  # noqa: B019  there is one scheduler
        def _split_scope(self, nodeid):
            # xdist's own groups need a private attribute that pytest 9 no longer has.
            if version := VERSION.search(nodeid):
                return version[1]
            file = Path(config.rootpath, nodeid.partition("::")[0])
            if file.parent.name == "attack":  # all of it has one node
                return "attack"
            return "plugins" if USES_PLUGINS.search(file.read_text(encoding="utf-8")) else str(file)

        def _assign_work_unit(self, node):
            # The tests on a node take minutes together: a worker that began with them last would end alone.
            if on_a_node := next((scope for scope in self.workqueue if not scope.endswith(".py")), None):
                self.workqueue.move_to_end(on_a_node, last=False)
            super()._assign_work_unit(node)

    return ByNodeOrFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep what is measured here out of the user's cache, and the hub's cache where it is."""
    with pytest.MonkeyPatch.context() as patch:
        caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        patch.setenv("HF_HOME", os.environ.get("HF_HOME") or f"{caches}/huggingface")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def columns():
    """How wide the terminal is."""
    return 120


@pytest.fixture
def run(monkeypatch, tmp_path, capsys, columns):
    """Run the command in an empty folder; returns exit status, stdout and stderr."""
    from sidecar.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))

    def command(*words: object) -> tuple[int, str, str]:
        status = 0
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return command


@pytest.fixture(scope="session")
def messages():
    """Return the lines of a stderr without those that say what is going on, which depend on the machine's speed."""
    going_on = re.compile(r" …|^[a-z ]+: \d+(/\d+)? ")
    return lambda text: [line for line in text.splitlines(keepends=True) if not going_on.search(line)]


@pytest.fixture
def candidates() -> Callable[..., list[Candidate]]:
    """Build candidates d1, d2, … with the given first-stage scores, best first."""

    def build(*scores: float, texts: Sequence[str] | None = None) -> list[Candidate]:
        words = texts if texts is not None else [f"text of d{i}" for i in range(1, len(scores) + 1)]
        return [
            Candidate(docid=f"d{rank}", rank=rank, score=score, passage=Passage("", text))
            for rank, (score, text) in enumerate(zip(scores, words, strict=True), start=1)
        ]

    return build


@pytest.fixture(scope="session", autouse=True)
def exact():
    """Take the CPU for one without bfloat16, so that scores are exact; tests of bfloat16 say what it computes in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sidecar.scoring.hardware.native_precisions", lambda: ("float32",))
        yield


@pytest.fixture(scope="session")
def judged() -> Path:
    """Folder with the judged collections; tests that need it skip where it is absent, and fail in CI.

    A CI that has no collections says so by an empty SIDECAR_TEST_DATA.
    """
    named = os.environ.get("SIDECAR_TEST_DATA")
    if named == "":
        pytest.skip("SIDECAR_TEST_DATA is empty: there are no judged collections here")
    folder = Path(named or Path(__file__).parents[2] / "shared" / "data")
    if not (folder / "trec-dl19-passage").is_dir():
        message = f"no judged collections at {folder}; set SIDECAR_TEST_DATA to a folder that holds them"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def tiny_models():
    from tests.support.models import tiny_models  # torch, transformers and peft: only where they are needed

    return tiny_models


@pytest.fixture(scope="session")
def tiny_llama(tiny_models, tmp_path_factory):
    """Directories of a tiny Llama and of a LoRA adapter on it, with the card's settings."""
    return tiny_models.build_tiny_llama(tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture
def adapter(tiny_llama):
    """The directory of that adapter, which names its base."""
    return tiny_llama[1]


@pytest.fixture(scope="session")
def tiny_bert(tiny_models, tmp_path_factory):
    """Directory of a tiny BERT cross-encoder."""
    return tiny_models.build_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def tiny_kin(tmp_path_factory):
    """Directory of a tiny checkpoint of an architecture, built when it is first asked for."""
    from tests.support.models import tiny_kin

    built = {}

    def directory(name):
        if name not in built:
            built[name] = tiny_kin.BUILDERS[name](tmp_path_factory.mktemp(name))
        return built[name]

    return directory


@pytest.fixture(scope="session")
def jvm():
    """Start the JVM in this process; the tests that need it skip where there is no pyserini or no Java, not in CI."""
    from connectors.pyserini.jvm import start_jvm
    from sidecar.core.errors import ConfigurationError, JavaError

    try:
        return start_jvm()
    except (ConfigurationError, JavaError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(error.message)


@pytest.fixture(scope="session", params=NODES)
def opensearch_url(request, tmp_path_factory):
    """URL of a real OpenSearch; every test that uses it runs once for each version.

    Skips where the machine has no Maven, JDK or URL; in CI that is a failure.
    """
    if request.param == "url":
        yield os.environ["OPENSEARCH_URL"]
        return
    with running_node(request.param, (), tmp_path_factory) as node:
        yield node.url


# The older version only with the slow tests.
_OLDER = [pytest.param(version, marks=pytest.mark.soak) for version in elasticsearch_node.VERSIONS[:-1]]


@pytest.fixture(scope="session", params=[*_OLDER, elasticsearch_node.VERSIONS[-1]])
def elasticsearch_url(request, tmp_path_factory):
    """URL of a real Elasticsearch; every test that uses it runs once for each version."""
    with running_elasticsearch(request.param, tmp_path_factory) as node:
        yield node.url


@pytest.fixture(scope="session")
def _ml_node(tmp_path_factory):
    with running_node(WITH_PLUGINS, ("ml",), tmp_path_factory) as node:
        yield node


@pytest.fixture(scope="session")
def _secure_node(tmp_path_factory):
    with running_node(WITH_PLUGINS, ("ml", "security"), tmp_path_factory) as node:
        yield node


@pytest.fixture(scope="module")
def ml_node(_ml_node):
    """A 2.19.1 node with ML Commons and neural search; a module finds it without what the modules before put there."""
    with cleaned(_ml_node):
        yield _ml_node


@pytest.fixture(scope="module")
def secure_node(_secure_node):
    """The same with the security plugin and TLS; `login` has its administrator and certificates."""
    with cleaned(_secure_node):
        yield _secure_node


@pytest.fixture(scope="session")
def client(opensearch_url):
    """A client of that OpenSearch."""
    made = connect(opensearch_url)
    yield made
    made.close()
