"""Parts that OpenSearch holds a moment longer are deleted as soon as it lets them go."""

from __future__ import annotations

import pytest
from opensearchpy import OpenSearch

from connectors.opensearch.admin import ml_commons
from connectors.opensearch.admin.ml_commons import MlCommons
from sidecar.core.errors import EngineRejected

HELD = {
    "remove_model": "Model is not in the correct state: undeploy model first",
    "remove_connector": "1 models are still using this connector, please delete or update the models first: [m]",
}


@pytest.fixture
def cluster(monkeypatch):
    """Make a cluster that refuses to delete some times, with these words; `sent` are the deletions."""
    monkeypatch.setattr(ml_commons.time, "sleep", lambda _: None)

    def make(words, times):
        class Cluster(MlCommons):
            sent = 0

            def request(self, method, path, body=None):
                if method == "DELETE":
                    self.sent += 1
                    if self.sent <= times:
                        raise EngineRejected(f"OpenSearch answered 409: {words}", status=409)

        return Cluster(OpenSearch("http://127.0.0.1:9"))

    return make


@pytest.mark.parametrize("remove", HELD)
def test_what_is_held_is_deleted_once_it_is_free(cluster, remove):
    found = cluster(HELD[remove], times=3)
    getattr(found, remove)("id")
    assert found.sent == 4


@pytest.mark.parametrize("remove", HELD)
def test_what_stays_held_is_an_error(cluster, remove, monkeypatch):
    monkeypatch.setattr(ml_commons, "REMOVING", 0.0)
    with pytest.raises(EngineRejected, match=HELD[remove][-20:].replace("[", r"\[").replace("]", r"\]")):
        getattr(cluster(HELD[remove], times=10**9), remove)("id")


@pytest.mark.parametrize("remove", HELD)
def test_any_other_refusal_is_an_error_at_once(cluster, remove):
    found = cluster("no permissions", times=1)
    with pytest.raises(EngineRejected, match="no permissions"):
        getattr(found, remove)("id")
    assert found.sent == 1
