"""Experiments with published figures: what to search and judge, and which figure to expect, with its source.

Figures are nDCG@10 over the first 100 hits of BM25 with k1 0.9 and b 0.4.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from sidecar.core.errors import InputError

MEASURE = "nDCG@10"
WINDOW = 100
K1, B = 0.9, 0.4


@dataclass(frozen=True, slots=True)
class Published:
    """A published value of `MEASURE`, of which system, and where it is found."""

    system: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """Queries and judgements by name, a prebuilt index of Pyserini's, and the figures that are published.

    `first_stage` is the figure of BM25, `models` those of presets, `others` those of systems that are no preset.
    `remove_query` leaves out hits that have the id of the query.
    """

    name: str
    topics: str
    index: str
    first_stage: Published
    models: dict[str, Published] = field(default_factory=dict)
    others: tuple[Published, ...] = ()
    remove_query: bool = False


_PYSERINI = "Pyserini's reproductions (pyserini/2cr/{}.yaml, {})"
_CARD = "the card of abdoelsayed/dear-3b-reranker-ranknet-lora-v1; paper: arXiv 2508.16998"
_README = "DeAR-Reranking's README, table {}"
_LISTWISE = "DeAR's second stage over its 8B (listwise, sampled: it does not repeat)"

_DL19 = Experiment(
    "dl19",
    "dl19-passage",
    "msmarco-v1-passage",
    Published("BM25", 0.5058, _PYSERINI.format("msmarco-v1-passage", "bm25-default")),
    {
        "dear-3b-ranknet-lora": Published("DeAR 3B, LoRA", 0.709, _CARD),
        "dear-3b": Published("DeAR 3B", 0.712, _CARD),
        "dear-8b-ranknet-lora": Published("DeAR 8B, LoRA", 0.742, _CARD),
        "dear-8b": Published("DeAR 8B", 0.745, _CARD),
        "llama2-13b-rankllama": Published("the teacher, RankLLaMA 13B", 0.738, _CARD),
    },
    (
        Published(_LISTWISE, 0.7791, _README.format('"TREC Deep Learning"')),
        Published(f"{_LISTWISE}, the same system in another table", 0.7554, _README.format('"Efficiency Analysis"')),
    ),
)
_DL20 = Experiment(
    "dl20",
    "irds:msmarco-passage/trec-dl-2020/judged",
    "msmarco-v1-passage",
    Published("BM25", 0.4796, _PYSERINI.format("msmarco-v1-passage", "bm25-default")),
    others=(Published(_LISTWISE, 0.7563, _README.format('"TREC Deep Learning"')),),
)

# Data set of BEIR → the figure of BM25 over title and text in one field (bm25-flat).
_BEIR = {
    "trec-covid": 0.5947,
    "nfcorpus": 0.3218,
    "nq": 0.3055,
    "hotpotqa": 0.6330,
    "fiqa": 0.2361,
    "arguana": 0.3970,
    "webis-touche2020": 0.4422,
    "cqadupstack-android": 0.3801,
    "cqadupstack-english": 0.3453,
    "cqadupstack-gaming": 0.4822,
    "cqadupstack-gis": 0.2901,
    "cqadupstack-mathematica": 0.2015,
    "cqadupstack-physics": 0.3214,
    "cqadupstack-programmers": 0.2802,
    "cqadupstack-stats": 0.2711,
    "cqadupstack-tex": 0.2244,
    "cqadupstack-unix": 0.2749,
    "cqadupstack-webmasters": 0.3059,
    "cqadupstack-wordpress": 0.2483,
    "quora": 0.7886,
    "dbpedia-entity": 0.3180,
    "scidocs": 0.1490,
    "fever": 0.6513,
    "climate-fever": 0.1651,
    "scifact": 0.6789,
}
# Its README's figures of the second stage over the 8B; it names no figure of the first stage.
_BEIR_LISTWISE = {
    "trec-covid": 0.8836,
    "nfcorpus": 0.4056,
    "webis-touche2020": 0.3723,
    "dbpedia-entity": 0.4712,
    "scifact": 0.7495,
}


def _beir(name: str) -> Experiment:
    listwise = _BEIR_LISTWISE.get(name)
    others = () if listwise is None else (Published(_LISTWISE, listwise, _README.format('"BEIR Datasets"')),)
    first = Published("BM25", _BEIR[name], _PYSERINI.format("beir", "bm25-flat"))
    topics, index = f"beir-v1.0.0-{name}-test", f"beir-v1.0.0-{name}.flat"
    return Experiment(f"beir-{name}", topics, index, first, others=others, remove_query=True)


EXPERIMENTS = {one.name: one for one in (_DL19, _DL20, *map(_beir, _BEIR))}


def find_experiment(name: str) -> Experiment:
    """Return an experiment by its name. Raises `InputError` with the names for an unknown one."""
    found = EXPERIMENTS.get(name)
    if found is None:
        close = difflib.get_close_matches(name, EXPERIMENTS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise InputError(
            f"{name} is neither a folder nor a known experiment.{hint}", remedy=f"Known: {', '.join(EXPERIMENTS)}."
        )
    return found
