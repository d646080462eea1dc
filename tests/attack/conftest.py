"""Fixtures of the attacks."""

from __future__ import annotations

import pytest

from tests.support.attack.cluster import prepare
from tests.support.attack.honest_callers import HonestCallers
from tests.support.attack.raw_requests import sent_all
from tests.support.attack.report import ROWS, Report
from tests.support.live.nodes import WITH_PLUGINS, running_node


@pytest.fixture(scope="session")
def report(request):
    return Report(request.config.stash.setdefault(ROWS, []))


@pytest.fixture(scope="package")
def cluster(tmp_path_factory):
    """A node with the security plugin and accounts, for all attacks together."""
    with running_node(WITH_PLUGINS, ("ml", "security"), tmp_path_factory) as node:
        yield prepare(node)


@pytest.fixture
def attacked(cluster, report):
    """Send attempts while honest callers search: a function of class, service and attempts.

    Nothing in the cluster may change, no answer hold another's documents, and nobody wait for them. With `reads_all`
    the attempts have an account that may read everything.
    """

    def run(name, service, attempts, *, reads_all=False, held="nothing changed, every answer its own caller's"):
        before = cluster.state()
        with HonestCallers(service, cluster.accounts) as honest:
            answered = sent_all(service.address, attempts)
        honest.check()
        foreign = [] if reads_all else cluster.words_foreign_to("mallory")
        leaks = [(one, answer[:1000]) for one, answer in answered if any(word in answer for word in foreign)]
        assert leaks == []
        assert cluster.state() == before
        report.add(name, len(attempts), honest, held)
        return answered

    return run
