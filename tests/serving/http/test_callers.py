"""Whose turn a request takes: nobody has more turns by calling themselves by more names."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from sidecar.serving.http.callers import Caller, TrustedProxies, account_of, network_of
from tests.support.servers.hits import answer, opensearch
from tests.support.servers.searches import body, outcome
from tests.support.servers.served import served
from tests.support.servers.stub import Stub


def basic(text):
    return b"Basic " + base64.b64encode(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (basic(b"kim:secret"), basic(b"lee:secret")),
        (b"Bearer head.kim.sign", b"Bearer head.lee.sign"),
        (b"ApiKey one", b"ApiKey two"),
        (b"Bearer one", b"ApiKey one"),
    ],
)
def test_accounts_differ(one, other):
    assert account_of(one) != account_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (basic(b"kim:secret"), b"basic   " + basic(b"kim:secret").removeprefix(b"Basic ").rstrip(b"=")),
        (basic(b"kim:secret"), basic(b"Kim :other")),
        (basic(b"kim:secret")[:9] + b"\n" + basic(b"kim:secret")[9:], basic(b"kim:secret")),
        (b"Bearer head.kim.signA", b"bearer head.kim.signB"),
        (b"", b"Basic"),
        (b"Basic a", b""),
    ],
)
def test_one_account_is_one_however_it_is_written(one, other):
    assert account_of(one) == account_of(other)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.9", b"10.0.0.1", "192.0.2.9"),
        ("10.1.2.3", b"", "10.1.2.3"),
        ("10.1.2.3", b"203.0.113.5, 192.0.2.7", "192.0.2.7"),
        ("::ffff:10.1.2.3", b"192.0.2.7", "192.0.2.7"),
        ("10.1.2.3", b"203.0.113.5, 192.0.2.7, 10.9.9.9,::1", "192.0.2.7"),
        ("10.1.2.3", b"192.0.2.7:51234", "192.0.2.7"),
        ("10.1.2.3", b"[2001:db8::5]:51234", "2001:db8::5"),
        ("10.1.2.3", b"10.9.9.9", "10.9.9.9"),
        ("10.1.2.3", b"unknown", "unknown"),
    ],
)
def test_a_proxy_names_its_client_if_it_is_trusted(peer, forwarded, client):
    assert TrustedProxies(("10.0.0.0/8", "::1")).client(peer, forwarded) == client


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_address_counts_as_far_as_it_is_not_its_owners_to_choose(address, network):
    assert network_of(address) == network


def test_an_account_counts_where_it_is_proved():
    kim, lee = (Caller("192.0.2.7", basic(name)) for name in (b"kim:x", b"lee:x"))
    assert kim.key() == lee.key() == Caller("192.0.2.7").key()
    assert len({kim.key(), kim.key(proved=True), lee.key(proved=True), Caller("192.0.2.8").key()}) == 4
    assert "kim" not in repr(kim)


def guarded(request):
    """An OpenSearch that knows the password `right`."""
    account = next((line for line in request.split(b"\r\n") if line.lower().startswith(b"authorization: ")), b"")
    if base64.b64decode(account.partition(b"Basic ")[2]).endswith(b":right"):
        return opensearch(request)
    return answer(401, '{"error":"Unauthorized","status":401}')


def callers_while(running, ask, count):
    """The callers for whom passages wait, while `count` of them ask."""
    waiting = running.running.service.scorers.links[0].admission.waiting
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(ask, i) for i in range(count)]
        most, deadline = set(), time.monotonic() + 10
        while not all(one.done() for one in asked) and time.monotonic() < deadline:
            most = max(most, {caller for _, caller in list(waiting)}, key=len)
            time.sleep(0.005)
    return most, [one.result() for one in asked]


def test_whoever_makes_up_accounts_has_one_turn():
    def search(i):
        return running.search("docs", body(f"fox {i} sleep 1"), authorization=basic(b"user%d:x" % i).decode())

    with Stub(opensearch) as stub, served(stub.url) as running:
        callers, answers = callers_while(running, search, 8)
    assert {outcome(one)[0] for one in answers} == {"applied"}
    assert len(callers) == 1


def test_accounts_that_opensearch_takes_have_a_turn_each():
    def search(i):
        return running.search("docs", body(f"fox {i} sleep 1"), authorization=basic(b"user%d:right" % (i % 3)).decode())

    with Stub(guarded) as stub, served(stub.url) as running:
        wrong = running.search("docs", body("fox"), authorization=basic(b"user:wrong").decode())
        assert wrong.status == 401
        callers, answers = callers_while(running, search, 6)
    assert {outcome(one)[0] for one in answers} == {"applied"}
    assert len(callers) == 3


def test_an_account_on_the_rerank_api_says_nothing():
    def rerank(i):
        made = {"query": f"fox {i}", "documents": [f"sleep 20 score {n}" for n in range(10)]}
        return httpx.post(
            f"{running.api_url}/v1/rerank", json=made, headers={"Authorization": f"Bearer {i}"}, timeout=20
        )

    with Stub(opensearch) as stub, served(stub.url) as running:
        callers, answers = callers_while(running, rerank, 8)
    assert {one.status_code for one in answers} == {200}
    assert len(callers) == 1
