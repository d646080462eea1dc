"""The plan of a sweep: every key applies, or the plan is refused."""

from __future__ import annotations

import pytest

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.fusion import Fusion, Method, Normalization
from sidecar.experiments.sweep_plan import parse_plan, read_plan

SMALL = {"qrels": "q", "first_stage": [{"candidates": "c"}]}


def plan(**more):
    return parse_plan({**SMALL, **more}, "plan")


def test_every_combination_becomes_a_first_stage_with_a_name():
    found = plan(
        topics="t",
        first_stage=[
            {"name": "bm25", "index": "i", "k1": [0.9, 1.2], "b": 0.4, "rm3": [False, True]},
            {"candidates": "c"},
            {"name": "os", "index": "i", "engine": "opensearch", "url": "http://host:9200"},
        ],
    ).stages()
    assert [one.name for one in found] == [
        *("bm25_k1=0.9_rm3=false", "bm25_k1=0.9_rm3=true", "bm25_k1=1.2_rm3=false", "bm25_k1=1.2_rm3=true"),
        *("stage2", "os"),
    ]
    assert found[1].settings == {"k1": 0.9, "b": 0.4, "rm3": True}
    assert found[-1].settings == {"opensearch_url": "http://host:9200"}


def test_every_combination_becomes_a_fusion_once():
    found = plan(
        fusion=[
            {"method": ["rerank", "adaptive"]},
            {"method": "linear", "normalization": ["min_max", "z_score"], "weight": [0.5, 0.7]},
            {"method": ["linear", "geometric"], "weight": 0.7},
            {"method": "rrf", "rank_constant": 20},
        ]
    ).fusions()
    assert found == [
        Fusion(Method.RERANK),
        Fusion(Method.ADAPTIVE),
        Fusion(Method.LINEAR, Normalization.MIN_MAX, 0.5),
        Fusion(Method.LINEAR, Normalization.MIN_MAX, 0.7),
        Fusion(Method.LINEAR, Normalization.Z_SCORE, 0.5),
        Fusion(Method.LINEAR, Normalization.Z_SCORE, 0.7),
        Fusion(Method.GEOMETRIC, weight=0.7),
        Fusion(Method.RRF, rank_constant=20),
    ]


def test_a_plan_without_fusions_has_some():
    found = plan().fusions()
    assert {one.method for one in found} == {"rerank", "adaptive", "linear", "rrf"}
    assert Fusion(Method.LINEAR, Normalization.MIN_MAX, 0.7) in found


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"windws": 5}, "windws is no key of a sweep"),
        ({"windows": 0}, r"windows\.0: Input should be greater than or equal to 1"),
        ({"windows": []}, "windows: Value should have at least 1 item"),
        ({"first_stage": []}, "first_stage: List should have at least 1 item"),
        ({"first_stage": [{}]}, r"first_stage\.0: a first stage has one of index, candidates, run, not none"),
        ({"first_stage": [{"candidates": "c", "run": "r"}]}, "not candidates and run"),
        ({"first_stage": [{"candidates": "c", "k1": 0.9}]}, "k1 has no effect with candidates"),
        ({"first_stage": [{"run": "r"}]}, "a run takes its queries and its corpus"),
        ({"first_stage": [{"index": "i"}]}, "an index is searched for topics"),
        ({"first_stage": [{"candidates": "c", "name": "a/b"}]}, "String should match pattern"),
        ({"first_stage": [{"name": "a", "candidates": "c"}] * 2}, "two first stages have the name a"),
        ({"fusion": [{"method": "rerank", "weight": 0.5}]}, "weight has no effect with the fusion rerank"),
        ({"fusion": [{"method": "linear", "weight": 1.5}]}, r"fusion\.0\.weight\.0: Input should be less than"),
        ({"fusion": [{"method": "geometric", "normalization": "z_score"}]}, "not defined for negative scores"),
        ({"fusion": [{"method": "mean"}]}, r"fusion\.0\.method\.0: Input should be 'rerank'"),
        ({"choose": {"on": "f", "seed": 1}}, "`on` names the queries; it takes neither fraction nor seed"),
        ({"choose": {"fraction": 1}}, r"choose\.fraction: Input should be less than 1"),
    ],
)
def test_what_is_wrong_is_refused(more, message):
    with pytest.raises(ConfigurationError, match=message):
        plan(**more)


def test_a_plan_is_a_toml_file(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text('qrels = "q"\nhits = 50\n[[first_stage]]\ncandidates = "c"\n')
    assert read_plan(path).hits == 50
    path.write_text("qrels = q\n")
    with pytest.raises(ConfigurationError, match="no valid TOML"):
        read_plan(path)
    with pytest.raises(InputError, match="can't read"):
        read_plan(tmp_path / "none.toml")
