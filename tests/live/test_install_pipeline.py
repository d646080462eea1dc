"""`install-pipeline` in a real cluster: what it makes, finds, replaces and removes, and what it says of a refusal."""

from __future__ import annotations

import threading
import time

import pytest

from connectors.opensearch.admin.install_pipeline import Installation
from connectors.opensearch.admin.ml_commons import MlCommons, Pretending
from connectors.opensearch.admin.pipeline_bodies import Wanted, connector_body, model_body
from connectors.opensearch.admin.pipeline_obstacles import ONLY_ML_NODES, PRIVATE, REMOTE, TRUSTED
from connectors.opensearch.transport import connect
from sidecar.cli.main import main
from sidecar.core.errors import ConfigurationError, EngineRejected
from tests.support.servers.served import served

pytestmark = pytest.mark.live

NAME = "installed"
DOCS = 12
SEARCH = {"query": {"match": {"text": "fox"}}, "ext": {"rerank": {"query_context": {"query_text": "which fox?"}}}}
ALONE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def sidecar(ml_node):
    with served(ml_node.url) as running:
        yield running


@pytest.fixture(scope="module")
def node(ml_node):
    ml_node.ask("PUT", "docs", {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
    for i in range(DOCS):
        ml_node.ask("PUT", f"docs/_doc/{i}", {"title": f"t{i} ", "text": f"fox score {(i * 7) % DOCS}"})
    ml_node.ask("POST", "docs/_refresh")
    return ml_node


@pytest.fixture
def wanted(sidecar):
    return Wanted(NAME, sidecar.api_url, ("title", "text"))


@pytest.fixture
def ml(node):
    client = connect(node.url)
    yield MlCommons(client)
    Installation(MlCommons(client), lambda _: None, settle=0).undo(NAME)
    client.close()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def installation(ml, lines):
    return Installation(ml, lines.append, settle=0)


@pytest.fixture
def setting(node):
    """Change a setting of the cluster for one test."""
    changed = []

    def change(name, value):
        changed.append(name)
        node.ask("PUT", "_cluster/settings", {"persistent": {name: value}})

    yield change
    node.ask("PUT", "_cluster/settings", {"persistent": dict.fromkeys([*changed, TRUSTED, PRIVATE, ONLY_ML_NODES])})


def verbs(lines):
    return [" ".join(line.split()[: 2 if "pipeline" not in line else 3]) for line in lines]


def everything(node):
    """All connectors, models, groups and pipelines, whoever made them."""
    found = {}
    for kind in ("connectors", "models", "model_groups"):
        hits = node.ask("POST", f"_plugins/_ml/{kind}/_search", {"query": {"match_all": {}}, "size": 100})["hits"][
            "hits"
        ]
        found[kind] = {hit["_id"] for hit in hits}
    try:
        return found | {"pipelines": node.ask("GET", "_search/pipeline")}
    except OSError:  # 404: there is none
        return found | {"pipelines": {}}


def found_by(node, name=NAME):
    answer = node.ask("POST", f"docs/_search?search_pipeline={name}", {**SEARCH, "size": DOCS})
    return [hit["_id"] for hit in answer["hits"]["hits"]]


BEST_FIRST = [str(i) for i in sorted(range(DOCS), key=lambda i: -((i * 7) % DOCS))]


def test_the_second_time_everything_is_there(installation, wanted, lines, node):
    installation.install(wanted)
    assert verbs(lines) == [
        "created connector", "created model", "deployed model", "asked sidecar", "created search pipeline",
    ]  # fmt: skip
    assert found_by(node) == BEST_FIRST
    before = everything(node)
    lines.clear()
    installation.install(wanted)
    assert verbs(lines) == ["found connector", "found model", "asked sidecar", "found search pipeline"]
    assert everything(node) == before


def test_undo_removes_what_was_made_and_nothing_else(installation, wanted, lines, ml, node):
    mine = connector_body(wanted, "00") | {"description": "by hand"}
    foreign = ml.create_connector(mine)
    model = ml.register(model_body(NAME, foreign) | {"name": "foreign", "description": "by hand"})
    ml.put_pipeline("foreign", {"response_processors": []})
    before = everything(node)
    installation.install(wanted)
    installation.make_default("docs", NAME)
    assert everything(node) != before
    lines.clear()
    installation.undo(NAME)
    assert verbs(lines) == [
        "removed default pipeline", "removed search pipeline", "removed model", "removed connector", "removed model",
    ]  # fmt: skip
    assert everything(node) == before
    assert found_by(node, "_none") != BEST_FIRST
    lines.clear()
    installation.undo(NAME)
    assert lines == [f"nothing to remove: nothing named {NAME} was made by install-pipeline"]
    ml.remove_model(model)
    ml.remove_connector(foreign)
    ml.remove_pipeline("foreign")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"url": "{url}/"}, None),
        ({"url": "http://127.0.0.1:{port}//"}, None),
        ({"seconds": 7}, "the time-outs"),
        ({"api_key": "k3y-0"}, "the key"),
        ({"model": "e5-small"}, "the model"),
        ({"fields": ("text",)}, "search pipeline"),
    ],
)
def test_what_changed_is_replaced_and_the_rest_found(installation, wanted, lines, node, change, why, sidecar):
    installation.install(wanted)
    lines.clear()
    port = sidecar.api_url.rpartition(":")[2]
    change = {
        name: value.format(url=sidecar.api_url, port=port) if name == "url" else value for name, value in change.items()
    }
    own = {"name": NAME, "url": wanted.url, "fields": wanted.fields}
    installation.install(Wanted(**(own | change)))
    if why is None:
        assert not [line for line in lines if line.startswith("replaced")]
    elif why == "search pipeline":
        assert verbs(lines) == ["found connector", "found model", "asked sidecar", "replaced search pipeline"]
    else:
        assert lines[0].endswith(f"({why})")
        assert verbs(lines) == [
            "replaced connector", "replaced model", "deployed model", "asked sidecar", "replaced search pipeline",
            "removed model", "removed connector",
        ]  # fmt: skip
    assert found_by(node) == BEST_FIRST
    assert not [line for line in lines if "k3y" in line]


def test_the_pipeline_serves_while_it_is_replaced(ml, wanted, lines, node):
    Installation(ml, lines.append).install(wanted)
    answers, failures, done = [], [], threading.Event()

    def search():
        while not done.is_set():
            try:
                answers.append(found_by(node))
            except OSError as error:
                failures.append(error.read())

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for seconds in (31, 32):
            Installation(ml, lines.append, settle=1).install(Wanted(NAME, wanted.url, wanted.fields, seconds=seconds))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(answers) > 10
    assert all(answer == BEST_FIRST for answer in answers)


def test_half_an_installation_is_picked_up(installation, wanted, lines, ml, node):
    connector = ml.create_connector(connector_body(wanted, "ab"))
    installation.install(wanted)
    assert lines[0].split()[:3] == ["found", "connector", connector]
    assert verbs(lines)[1:] == ["created model", "deployed model", "asked sidecar", "created search pipeline"]
    model = lines[1].split()[2]
    node.ask("POST", f"_plugins/_ml/models/{model}/_undeploy")
    node.ask("DELETE", f"_search/pipeline/{NAME}")
    lines.clear()
    installation.install(wanted)
    assert verbs(lines) == [
        "found connector", "found model", "deployed model", "asked sidecar", "created search pipeline",
    ]  # fmt: skip
    assert found_by(node) == BEST_FIRST


def test_a_dead_sidecar_leaves_the_pipeline_as_it_is(installation, wanted, lines, node):
    installation.install(wanted)
    with pytest.raises(EngineRejected, match=f"can't reach the sidecar at {ALONE}/v1/rerank: Connection refused"):
        installation.install(Wanted(NAME, ALONE, wanted.fields))
    assert found_by(node) == BEST_FIRST
    lines.clear()
    installation.install(wanted)
    assert verbs(lines) == [
        "found connector", "found model", "asked sidecar", "found search pipeline",
        "removed model", "removed connector",
    ]  # fmt: skip


def test_what_answers_otherwise_is_named(installation, wanted, node):
    with pytest.raises(EngineRejected, match="refused: .*no model 'gpt' here; declared are e5-small") as caught:
        installation.install(Wanted(NAME, wanted.url, wanted.fields, model="gpt"))
    assert "--model names a model that it declares" in caught.value.remedy
    with pytest.raises(EngineRejected, match="refused: |is no rerank server"):
        installation.install(Wanted(NAME, node.url, wanted.fields))


def test_the_key_goes_along_and_is_nowhere_to_be_read(node, ml, lines):
    with served(node.url, api_key="k3y-s3cret") as guarded:
        with pytest.raises(EngineRejected, match="refused: .*key") as caught:
            Installation(ml, lines.append, settle=0).install(Wanted(NAME, guarded.api_url, ("text",)))
        assert "SIDECAR_API_KEY" in caught.value.remedy
        wanted = Wanted(NAME, guarded.api_url, ("text",), api_key="k3y-s3cret")
        Installation(ml, lines.append, settle=0).install(wanted)
        assert found_by(node) == BEST_FIRST
    texts = [*lines, repr(wanted), repr(ml.state(NAME)), node.log.read_text(errors="replace")]
    assert [text for text in texts if "k3y-s3cret" in text] == []


@pytest.mark.parametrize(
    ("name", "value", "body"),
    [
        (TRUSTED, ["^https://trusted/.*$"], '"^https://trusted/.*$","^http://127'),
        (PRIVATE, False, f'{{"persistent":{{"{PRIVATE}":true}}}}'),
        (REMOTE, False, f'{{"persistent":{{"{REMOTE}":true}}}}'),
    ],
)
def test_a_setting_that_forbids_it_is_named_and_changed_only_if_allowed(
    installation, wanted, ml, lines, node, setting, name, value, body
):
    setting(name, value)
    with pytest.raises(EngineRejected) as caught:
        installation.install(wanted)
    assert "PUT _cluster/settings\n" in caught.value.remedy
    assert body in caught.value.remedy
    assert node.ask("GET", "_cluster/settings?flat_settings=true")["persistent"] == {name: as_listed(value)}
    Installation(ml, lines.append, allow=True, settle=0).install(wanted)
    assert [line.split()[:4] for line in lines if line.startswith("changed")] == [
        ["changed", "cluster", "setting", name]
    ]
    assert found_by(node) == BEST_FIRST


def as_listed(value):
    return value if isinstance(value, list) else str(value).lower()


def test_no_node_for_the_model(installation, wanted, setting):
    setting("plugins.ml_commons.task_dispatcher.eligible_node_role.remote_model", ["ml"])
    with pytest.raises(EngineRejected, match="no node of the cluster may run the model") as caught:
        installation.install(wanted)
    assert f'"{ONLY_ML_NODES}":false' in caught.value.remedy
    assert 'remote_model":["data","ml"]' in caught.value.remedy


def test_a_pipeline_of_somebody_elses_is_not_touched(installation, wanted, lines, ml, node):
    ml.put_pipeline(NAME, {"description": "mine", "response_processors": []})
    before = everything(node)
    with pytest.raises(ConfigurationError, match="that install-pipeline did not make"):
        installation.install(wanted)
    installation.undo(NAME)
    assert lines[0].endswith("(it was not made by install-pipeline)")
    assert everything(node) == before
    ml.remove_pipeline(NAME)


def test_a_dry_run_writes_nothing(wanted, installation, lines, node):
    client = connect(node.url)
    pretended = Installation(Pretending(client), lines.append, settle=60)
    before = everything(node)
    pretended.install(wanted)
    assert verbs(lines) == ["created connector", "created model", "deployed model", "created search pipeline"]
    assert everything(node) == before
    installation.install(wanted)
    before = everything(node)
    lines.clear()
    started = time.monotonic()
    pretended.install(Wanted(NAME, wanted.url, wanted.fields, seconds=3))
    pretended.undo(NAME)
    assert time.monotonic() - started < 30
    assert [verb for verb in verbs(lines) if verb.startswith("removed")] == [
        "removed model", "removed connector", "removed search pipeline", "removed model", "removed connector",
        "removed model",
    ]  # fmt: skip
    assert everything(node) == before
    client.close()


def test_an_index_with_another_default_keeps_it(installation, wanted, ml, node):
    installation.install(wanted)
    ml.put_pipeline("other", {"response_processors": []})
    ml.set_default("docs", "other")
    with pytest.raises(ConfigurationError, match="docs has the default search pipeline other already"):
        installation.make_default("docs", NAME)
    assert ml.defaults("docs") == {"docs": "other"}
    ml.set_default("docs", None)
    ml.remove_pipeline("other")


@pytest.mark.usefixtures("ml")
def test_the_command_installs_tries_out_and_undoes(node, sidecar, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = ["install-pipeline", "--url", node.url, "--name", NAME]

    def run(*more):
        with pytest.raises(SystemExit) as end:
            main([*words, *more])
        printed = capsys.readouterr()
        return end.value.code, printed.out.splitlines(), " ".join(printed.err.split())

    code, out, _ = run("--sidecar-url", sidecar.api_url, "--index", "docs", "--default")
    assert (code, len(out)) == (0, 7)
    assert out[5].startswith("tried     docs: “t0 fox score 0”, 10 hits in ")
    assert out[6] == "created   default pipeline docs  (a search without ext.rerank now fails there: 500)"
    with pytest.raises(OSError, match="500"):
        node.ask("POST", "docs/_search", {"query": {"match_all": {}}})
    code, out, err = run("--sidecar-url", sidecar.api_url, "--index", "docs", "--document-fields", "abstract,body.html")
    assert (code, "it will send no text for body.html" in err) == (0, True)
    assert "they have text in title, text: see --document-fields." in out[-1]
    assert run("--undo")[:1] == (0,)
    assert node.ask("POST", "docs/_search", {"query": {"match_all": {}}})["hits"]["total"]["value"] == DOCS
    assert "the URL of the sidecar is missing" in run()[2]
    assert "--default sets the default of an index" in run("--sidecar-url", sidecar.api_url, "--default")[2]
    assert "Connection refused" in run("--sidecar-url", ALONE)[2]


def test_a_cluster_without_ml_commons_is_told_what_it_lacks(opensearch_url):
    ml = MlCommons(connect(opensearch_url))
    with pytest.raises(EngineRejected, match="has no ML Commons") as caught:
        Installation(ml, lambda _: None).install(Wanted(NAME, ALONE, ("text",)))
    assert "opensearch-ml and opensearch-neural-search" in caught.value.remedy
