"""Rules cover index expressions as OpenSearch resolves them, and say at the start what is wrong with them."""

from __future__ import annotations

import pytest

from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.errors import ConfigurationError
from sidecar.core.fusion import Fusion, Method, Normalization
from sidecar.serving.proxy.rerank_options import RerankOptions, parse_search
from sidecar.serving.proxy.rules import Arm, Rule, rules_of

COVERED = [
    ("plain*", "plain"),
    ("plain*", "plain*,-plain-old"),
    ("plain*", "plain,"),
    ("plain*", "plain,,"),
    ("plain*", "plain-a*,plain-b"),
    ("logs-*", "<logs-{now/d}>"),
    ("logs-*", "<logs-{now/M-1M{yyyy.MM|+12:00}}>,logs-x"),
    ("*", ""),
    ("*", "_all"),
    ("_all", "*"),
    ("plain*,-plain-old", "plain"),
    ("plain*,-plain-old", "plain*,-plain-old"),
    ("plain*,-plain-old", "plain*,-plain-o*"),
    ("plain,docs", "docs,plain"),
]
NOT_COVERED = [
    ("plain*", "plain,other"),
    ("plain*", "pl*"),
    ("plain*", "*"),
    ("plain*", ""),
    ("plain*", "-plain"),
    ("plain*", "other*,-other-old"),
    ("plain", "plain*"),
    ("logs-2026*", "<logs-{now/d}>"),
    ("plain*,-plain-old", "plain-old"),
    ("plain*,-plain-old", "plain*"),
    ("plain*,-plain-old*", "plain-*,-plain-older"),
    ("plain*,-plain-old", "plain*,-<plain-{now/d}>"),
]


@pytest.mark.parametrize(("rule", "searched"), COVERED)
def test_a_rule_covers_what_can_reach_no_other_index(rule, searched):
    assert Rule(index=rule).covers(searched)


@pytest.mark.parametrize(("rule", "searched"), NOT_COVERED)
def test_a_rule_does_not_cover_what_may_reach_another_index(rule, searched):
    assert not Rule(index=rule).covers(searched)


DEFAULTS = RerankOptions("m", Fusion(), 100, fields=None, seconds=3.0, on_failure="first-stage")


def test_a_rule_says_all_that_a_search_may_say():
    said = {
        "name": "titles",
        "index": "docs",
        "window": 50,
        "document_fields": ["title"],
        "fusion": {"method": "linear", "normalization": "z_score", "weight": 0.7},
        "timeout_ms": 250,
        "model": "n",
    }
    rules = rules_of([said], ["m", "n"])
    found = parse_search("docs", SearchBody(b'{"query":{"match":{"text":"fox"}}}'), rules, DEFAULTS, ["m", "n"])
    options = found.options
    assert (options.model, options.window, options.seconds) == ("n", 50, 0.25)
    assert (options.fields.title, options.fields.text) == ((), ("title",))
    assert options.fusion == Fusion(Method.LINEAR, Normalization.Z_SCORE, 0.7)
    assert (found.decided_by, found.requested) == ("titles; arm=treatment", False)
    body = SearchBody(b'{"ext":{"rerank":{"window":7,"fusion":"rrf","timeout_ms":9}}}')
    own = parse_search("docs", body, rules, DEFAULTS, ["m", "n"])
    assert (own.options.window, own.options.fusion.method, own.options.seconds) == (7, Method.RRF, 0.009)
    assert (own.options.fields.text, own.decided_by, own.requested) == (("title",), "", True)


def test_an_arm_is_the_same_for_every_page_and_however_the_body_is_written():
    rule = Rule(index="docs", percent=50)
    query = '{"query":{"match":{"text":"fox %d"}}%s}'
    arms = [rule.arm("docs", SearchBody((query % (i, "")).encode())) for i in range(200)]
    assert 70 < arms.count(Arm.TREATMENT) < 130
    assert [rule.arm("docs", SearchBody((query % (i, ',"from":10')).encode())) for i in range(200)] == arms
    assert [rule.arm("docs", SearchBody(("/* a */" + query % (i, "")).encode("utf-16"))) for i in range(200)] == arms


def test_searches_with_their_query_in_the_url_are_drawn_each_for_itself():
    rule, nothing = Rule(index="docs", percent=50), SearchBody(b"")
    arms = [rule.arm("docs", nothing, f"q=fox+{i}&size=5") for i in range(200)]
    assert 70 < arms.count(Arm.TREATMENT) < 130
    assert [rule.arm("docs", nothing, f"from=10&q=fox%20{i}") for i in range(200)] == arms
    fields = [rule.arm("docs", nothing, f"q=fox&df=f{i}") for i in range(200)]
    assert 70 < fields.count(Arm.TREATMENT) < 130


WRONG = [
    ([{"index": "docs", "percent": 101}], "rules: rule 1, percent: Input should be less than or equal to 100."),
    ([{}, {"indexes": "docs"}], "rules: rule 2, indexes: Extra inputs are not permitted."),
    ([{"index": "a?"}], "rules: rule 1, index: 'a?' holds '?', which no index name does; the only wildcard is *."),
    ([{"fusion": "best"}], "rules: rule 1, fusion: Invalid enum value 'best'."),
    ([{"fusion": {"method": "rrf", "speed": 1}}], "rules: rule 1, fusion: Object contains unknown field `speed`."),
    ([{"name": "a; b"}], "rules: rule 1, name: String should match pattern '^[A-Za-z0-9._-]{1,64}$'."),
    ([{"document_fields": ""}], "rules: rule 1, document_fields: Input should be a valid tuple."),
    ([{"model": "x"}], "rules: rule 1: no model x is declared."),
    ([{"name": "a"}, {"name": "a"}], "rules: two are called a."),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "message"), WRONG)
def test_a_wrong_rule_is_refused_with_its_place_and_what_is_wrong(rules, message):
    with pytest.raises(ConfigurationError) as refused:
        rules_of(rules, ["m"])
    assert refused.value.message == message
