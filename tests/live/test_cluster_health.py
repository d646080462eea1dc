"""A cluster with accounts, as the service's health sees it: it answers, checks accounts, and tells its name to one."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.servers.served import served

pytestmark = pytest.mark.live


@pytest.mark.parametrize("with_account", [False, True])
def test_a_cluster_with_accounts_is_told_from_one_without(secure_node, with_account):
    login = secure_node.login
    account = {"opensearch_user": login.user, "opensearch_password": login.password} if with_account else {}
    with served(secure_node.url, opensearch_ca_certs=login.ca, **account) as service:
        running = service.running
        assert service.ask("GET", "/_sidecar/health/ready/opensearch").json() == {"status": "ready"}
        running.cluster._known_at = float("-inf")  # as if it had been long ago
        assert service.ask("GET", "/_sidecar/health/ready/opensearch").json() == {"status": "ready"}
        asyncio.run_coroutine_threadsafe(running.cluster.introduce(), service.loop).result(20)
    assert running.upstream.checks_accounts
    assert ("opensearch 2.19.1" in running.cluster.about) == with_account
    assert running.cluster.reason == ""


def test_a_cluster_without_accounts_tells_its_name(opensearch_url):
    with served(opensearch_url) as service:
        assert service.ask("GET", "/_sidecar/health/ready").status == 200
        assert "(opensearch " in service.running.cluster.about
        assert not service.running.upstream.checks_accounts
