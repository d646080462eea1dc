"""Which requests come from one account."""

import pytest

from connectors.opensearch.flow.caller import caller_of, digest

ADA = (b"authorization", b"Basic YWRhOnMzY3JldA==")
EVE = (b"authorization", b"Basic ZXZlOnB3")


@pytest.mark.parametrize(
    "other",
    [
        [],
        [EVE],
        [ADA, EVE],
        [ADA, (b"x-proxy-user", b"admin")],
        [ADA, (b"x-forwarded-for", b"10.0.0.1")],
        [ADA, (b"securitytenant", b"t")],
        [ADA, (b"cookie", b"security_authentication=1")],
        # Clusters may take a token in any header of their choice.
        [ADA, (b"x-company-jwt", b"eyJ")],
        [(b"authorization", b"Basic YWRhOnMzY3JldA==x")],
        [(b"authorizationBasic", b" YWRhOnMzY3JldA==")],
    ],
)
def test_other_accounts_are_others(other):
    assert caller_of(other) != caller_of([ADA])


def test_what_names_nobody_makes_no_difference():
    noise = [(b"content-type", b"application/json"), (b"X-Opaque-Id", b"7"), (b"traceparent", b"00-1")]
    assert caller_of([*noise, ADA]) == caller_of([ADA]) == caller_of([("Authorization", "Basic YWRhOnMzY3JldA==")])
    assert caller_of(noise) == caller_of([])


def test_the_arguments_of_a_call_may_name_an_account():
    keys = [caller_of([], params) for params in ({}, {"http_auth": ("ada", "x")}, {"api_key": "x"}, {"routing": "r"})]
    assert len(set(keys)) == 3
    assert keys[0] == keys[3]


def test_a_digest_tells_its_parts_apart_and_holds_none():
    assert len({digest(*parts) for parts in ([], [""], [None], ["a", "b"], ["ab"], ["", "ab"], ["a:b"])}) == 7
    assert digest("half \ud83d") != digest("half \ud83c")
    assert len(digest("x" * 1_000_000)) == 16
