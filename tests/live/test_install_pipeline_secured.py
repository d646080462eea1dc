"""`install-pipeline` under the security plugin: the permissions it takes, and what it says for want of one."""

from __future__ import annotations

import pytest

from connectors.opensearch.admin.install_pipeline import Installation
from connectors.opensearch.admin.ml_commons import MlCommons
from connectors.opensearch.admin.pipeline_bodies import Wanted
from connectors.opensearch.admin.pipeline_obstacles import PERMISSIONS, TRUSTED
from connectors.opensearch.admin.pipeline_trial import try_out
from connectors.opensearch.auth import Access
from connectors.opensearch.transport import connect
from sidecar.core.errors import EngineRejected
from tests.support.servers.served import served

pytestmark = pytest.mark.live

PASSWORD = "kuPf3r-Ätna-ž9:x"
NAME = "secured"
READ = {"index_patterns": ["library"], "allowed_actions": ["read"]}
MANAGE = {
    "index_patterns": ["library"],
    "allowed_actions": ["read", "indices:monitor/settings/get", "indices:admin/settings/update"],
}
ROLES = {
    "reader": {"index_permissions": [READ]},
    "installer": {"index_permissions": [MANAGE], "cluster_permissions": list(PERMISSIONS)},
}


@pytest.fixture(scope="module")
def node(secure_node):
    ask, api = secure_node.ask, "_plugins/_security/api"
    ask("PUT", "library", {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
    for i in range(5):
        ask("PUT", f"library/_doc/{i}", {"text": f"fox score {i}"})
    ask("POST", "library/_refresh")
    for role, permissions in ROLES.items():
        ask("PUT", f"{api}/internalusers/{role}", {"password": PASSWORD})
        ask("PUT", f"{api}/roles/{role}", permissions)
        ask("PUT", f"{api}/rolesmapping/{role}", {"users": [role]})
    ask("DELETE", f"{api}/rolesmapping/own_index")
    return secure_node


@pytest.fixture
def account(node):
    """An account's way to ML Commons."""
    clients = []

    def way(user):
        password = "admin" if user == "admin" else PASSWORD
        clients.append(connect(node.url, Access(user=user, password=password, ca_certs=str(node.login.ca))))
        return MlCommons(clients[-1])

    yield way
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def sidecar(node):
    with served("http://127.0.0.1:9") as running:
        yield running


def test_an_account_that_may_only_read_is_told_which_permission_it_lacks(account, sidecar):
    wanted = Wanted(NAME, sidecar.api_url, ("text",))
    lines = []
    for step in (
        lambda: Installation(account("reader"), lines.append).install(wanted),
        lambda: Installation(account("reader"), lines.append).undo(NAME),
    ):
        with pytest.raises(EngineRejected) as caught:
            step()
        assert caught.value.status == 403
        assert caught.value.message == (
            "this account lacks the permission cluster:admin/opensearch/ml/connectors/search."
        )
        assert "cluster:admin/search/pipeline/put" in caught.value.remedy
        assert PASSWORD not in str(caught.value)
    assert lines == []


def test_the_permissions_that_are_named_are_enough(account, sidecar, node):
    ml, lines = account("installer"), []
    installation = Installation(ml, lines.append, settle=0)
    wanted = Wanted(NAME, sidecar.api_url, ("text",))
    installation.install(wanted)
    (tried,) = try_out(ml, "library", NAME, wanted.fields)
    assert "5 hits in " in tried
    installation.make_default("library", NAME)
    installation.install(Wanted(NAME, sidecar.api_url, ("text",), api_key="k3y"))
    installation.undo(NAME, "library")
    assert [line.split()[:2] for line in lines if "default" in line] == [["created", "default"], ["removed", "default"]]
    administrator = account("admin")
    state = administrator.state(NAME)
    assert (list(state.connectors), list(state.models), list(state.groups), state.pipeline) == ([], [], [], None)


def test_settings_that_an_account_may_not_see_are_named_too(account, node):
    with pytest.raises(EngineRejected) as caught:
        Installation(account("installer"), lambda _: None).install(Wanted(NAME, "http://elsewhere:9281", ("text",)))
    assert f'{{"persistent":{{"{TRUSTED}":["^http://elsewhere:9281/v1/rerank$"]}}}}' in caught.value.remedy
    assert "can't see which are trusted now" in caught.value.remedy
    with pytest.raises(EngineRejected, match="lacks the permission cluster:admin/settings/update"):
        Installation(account("installer"), lambda _: None, allow=True).install(
            Wanted(NAME, "http://elsewhere:9281", ("text",))
        )
