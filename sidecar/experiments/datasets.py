"""Topics and qrels by name, through ir_datasets: its own ids as `irds:ID`, and the names that Pyserini uses.

ir_datasets is an extra (`rerank-sidecar[datasets]`), imported when a name is used. It downloads a dataset once, and
keeps it in its own folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.core.errors import ConfigurationError, InputError

PREFIX = "irds:"

# Pyserini's name → ir_datasets' id. Only names with the same queries and judgements in both are here: Pyserini's
# topics of DL 2019 are the 43 judged queries, its topics of DL 2020 are all 200.
PYSERINI_NAMES = {
    "dl19-passage": "msmarco-passage/trec-dl-2019/judged",
    "dl19-doc": "msmarco-document/trec-dl-2019/judged",
    "dl20": "msmarco-passage/trec-dl-2020",
    "dl20-passage": "msmarco-passage/trec-dl-2020",
    "dl20-doc": "msmarco-document/trec-dl-2020",
    "dl21": "msmarco-passage-v2/trec-dl-2021",
    "dl21-passage": "msmarco-passage-v2/trec-dl-2021",
    "dl21-doc": "msmarco-document-v2/trec-dl-2021",
    "dl22": "msmarco-passage-v2/trec-dl-2022",
    "dl22-passage": "msmarco-passage-v2/trec-dl-2022",
    "dl22-doc": "msmarco-document-v2/trec-dl-2022",
    "dl23": "msmarco-passage-v2/trec-dl-2023",
    "dl23-passage": "msmarco-passage-v2/trec-dl-2023",
    "dl23-doc": "msmarco-document-v2/trec-dl-2023",
    "msmarco-passage-dev-subset": "msmarco-passage/dev/small",
    "msmarco-passage-dev": "msmarco-passage/dev/small",
    "msmarco-v1-passage-dev": "msmarco-passage/dev/small",
    "msmarco-v1-passage.dev": "msmarco-passage/dev/small",
    "msmarco-doc-dev": "msmarco-document/dev",
    "msmarco-v2-passage-dev": "msmarco-passage-v2/dev1",
    "msmarco-v2-passage-dev2": "msmarco-passage-v2/dev2",
    "msmarco-v2-doc-dev": "msmarco-document-v2/dev1",
    "msmarco-v2-doc-dev2": "msmarco-document-v2/dev2",
    "robust04": "disks45/nocr/trec-robust-2004",
    "robust05": "aquaint/trec-robust-2005",
    "core17": "nyt/trec-core-2017",
    "core18": "wapo/v2/trec-core-2018",
    "covid-round5": "cord19/trec-covid/round5",
}
_BEIR = {
    **{name: f"{name}/test" for name in ("nfcorpus", "scifact", "fiqa", "hotpotqa", "fever", "quora")},
    **{name: name for name in ("arguana", "nq", "scidocs", "climate-fever", "trec-covid")},
    "dbpedia-entity": "dbpedia-entity/test",
    "webis-touche2020": "webis-touche2020/v2",
    **{
        f"cqadupstack-{forum}": f"cqadupstack/{forum}"
        for forum in (
            "android", "english", "gaming", "gis", "mathematica", "physics", "programmers", "stats", "tex", "unix",
            "webmasters", "wordpress",
        )
    },
}  # fmt: skip
PYSERINI_NAMES |= {f"beir-v1.0.0-{name}-test": f"beir/{found}" for name, found in _BEIR.items()}


@dataclass(frozen=True, slots=True)
class Dataset:
    """An open dataset of ir_datasets: `name` is the user's name of it, `id` the dataset's own."""

    name: str
    id: str
    version: str
    found: Any

    def queries(self) -> Iterator[Any]:
        """Return its queries. Raises `InputError` if it has none, or they can't be downloaded."""
        return self._part("queries")

    def qrels(self) -> Iterator[Any]:
        """Return its judgements. Raises `InputError` if it has none, or they can't be downloaded."""
        return self._part("qrels")

    def _part(self, part: str) -> Iterator[Any]:
        if not getattr(self.found, f"has_{part}")():
            raise InputError(f"the dataset {self.id} has no {part}.", remedy="See https://ir-datasets.com.")
        try:
            yield from getattr(self.found, f"{part}_iter")()
        except (OSError, RuntimeError, ValueError) as error:  # its downloads and readers raise these
            raise InputError(
                f"ir_datasets can't give the {part} of {self.id}: {error}.",
                remedy="It fetches them from the network; some need a licence first. See https://ir-datasets.com.",
            ) from error


def dataset_id(path: Path) -> str | None:
    """Return the id of ir_datasets that a path stands for; None for a file, or an unknown name."""
    name = str(path)
    if path.exists():
        return None
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else PYSERINI_NAMES.get(name)


def open_dataset(path: Path) -> Dataset | None:
    """Open the dataset that a path stands for; None if it stands for a file.

    Raises `ConfigurationError` if ir_datasets is not installed, `InputError` if it has no such dataset.
    """
    found = dataset_id(path)
    if found is None:
        return None
    try:
        import ir_datasets
    except ImportError:
        raise ConfigurationError(
            f"{path} is a dataset of ir_datasets, which is not installed.",
            remedy="pip install 'rerank-sidecar[datasets]', or name a file.",
        ) from None
    try:
        return Dataset(str(path), found, ir_datasets.__version__, ir_datasets.load(found))
    except KeyError:
        raise InputError(f"ir_datasets knows no {found}.", remedy="Its datasets: https://ir-datasets.com.") from None
