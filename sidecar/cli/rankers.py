"""Where a long run is computed: in this process, or on the workers of a Ray cluster with the same results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import typer
from msgspec.structs import replace

from sidecar.cli.effects import Condition
from sidecar.cli.factories import build_reranker, describe_model
from sidecar.cli.model_fetch import fetch_missing
from sidecar.cli.progress import working
from sidecar.core.candidates import Candidate, Passage, Ranking, Score
from sidecar.core.documents import PassageFields
from sidecar.core.errors import ConfigurationError
from sidecar.core.fusion import Fusion
from sidecar.core.model_spec import ModelSpec, is_remote
from sidecar.experiments.manifest import versions
from sidecar.experiments.ray_map import Pool, Work, ray_cluster, ray_map
from sidecar.reranker import Reranker
from sidecar.scoring import Scorer
from sidecar.scoring.score_store import ScoreStore
from sidecar.settings import Settings

Key = TypeVar("Key")
# A query and what is scored for it.
Texts = tuple[str, Sequence[Passage]]

_PANEL = "Ray"
RAY = typer.Option("--ray", help="Score on the workers of a Ray cluster (extra `ray`).", rich_help_panel=_PANEL)
RAY_ADDRESS = typer.Option(
    "--ray-address",
    help="Address of the cluster. Unset: RAY_ADDRESS, else Ray is started on this machine.",
    rich_help_panel=_PANEL,
)
RAY_WORKERS = typer.Option(
    "--ray-workers", min=1, help="Workers. Unset: one for each GPU, else one for each machine.", rich_help_panel=_PANEL
)
RAY_CPUS = typer.Option(
    "--ray-cpus", min=0.1, help="CPUs of each worker. Unset: all CPUs, shared equally.", rich_help_panel=_PANEL
)
RAY_GPUS = typer.Option(
    "--ray-gpus", min=0, help="GPUs of each worker. Unset: 1 if the cluster has any.", rich_help_panel=_PANEL
)
ON_RAY = (
    Condition(("ray",), lambda mode: not is_remote(mode.model or ""), "a remote model computes on its own servers"),
    Condition(
        ("ray_address", "ray_workers", "ray_cpus", "ray_gpus"),
        lambda mode: mode.ray,
        "there is no cluster without --ray",
    ),
    Condition(("score_file",), lambda mode: not mode.ray, "the workers of --ray have no score file in common"),
)


@dataclass(frozen=True, slots=True)
class RayCluster:
    """The cluster that was asked for, and its workers."""

    address: str | None
    pool: Pool


def chosen_cluster(
    ray: bool, address: str | None, workers: int | None, cpus: float | None, gpus: float | None
) -> RayCluster | None:
    """Return the cluster that the options of a command name; None without --ray."""
    return RayCluster(address, Pool(workers, cpus, gpus)) if ray else None


class Ranker(Protocol):
    """Ranks candidates and scores passages, and says by what."""

    def rank_all(self, asked: Iterable[tuple[Key, str, Sequence[Candidate]]]) -> Iterator[tuple[Key, Ranking]]:
        """Do what `Reranker.rank_all` does."""
        ...

    def score_all(self, asked: Iterable[tuple[Key, Texts]]) -> Iterator[tuple[Key, list[Score]]]:
        """Yield the scores of each query's passages with the key that came with it, in the order given."""
        ...

    def describe(self) -> dict[str, Any]:
        """Describe the model for a manifest, as `describe_model` does."""
        ...


@contextmanager
def open_ranker(
    settings: Settings,
    store: ScoreStore | None,
    cluster: RayCluster | None,
    *,
    min_relevance: float = 0.0,
    scorer: Scorer | None = None,
) -> Iterator[Ranker]:
    """Load the model here, or connect to the cluster on whose workers it will be loaded. Raises what loading raises.

    With `min_relevance` less relevant hits are left out of rankings. A `scorer` is the model, loaded here before.
    """
    if cluster is None:
        reranker = build_reranker(settings, remember=False, store=store, min_relevance=min_relevance, scorer=scorer)
        yield Here(reranker, settings.as_model())
        return
    spec = settings.as_model()
    fetch_missing(spec)
    with ExitStack() as connected:
        with working("connecting to Ray"):
            connected.enter_context(ray_cluster(cluster.address))
        make = partial(load_worker, spec, settings.as_fusion(), settings.as_fields(), min_relevance)
        yield OnRay(make, cluster.pool)


class Here:
    """Computes in this process."""

    def __init__(self, reranker: Reranker, spec: ModelSpec) -> None:
        self._reranker, self._spec = reranker, spec

    def rank_all(self, asked: Iterable[tuple[Key, str, Sequence[Candidate]]]) -> Iterator[tuple[Key, Ranking]]:
        """Do what `Reranker.rank_all` does."""
        return self._reranker.rank_all(asked)

    def score_all(self, asked: Iterable[tuple[Key, Texts]]) -> Iterator[tuple[Key, list[Score]]]:
        """Yield the scores of each query's passages with the key that came with it, in the order given."""
        for key, (query, passages) in asked:
            yield key, self._reranker.scorer.score(query, passages)

    def describe(self) -> dict[str, Any]:
        """Describe the model for a manifest."""
        return describe_model(self._spec, self._reranker)


class OnRay:
    """Computes on the workers that `make` makes; all of them must have the same model, engine and libraries."""

    def __init__(self, make: partial[Work], pool: Pool) -> None:
        self._make, self._pool = make, pool
        self._model: dict[str, Any] | None = None

    def rank_all(self, asked: Iterable[tuple[Key, str, Sequence[Candidate]]]) -> Iterator[tuple[Key, Ranking]]:
        """Do what `Reranker.rank_all` does."""
        return self._map((key, (query, candidates, True)) for key, query, candidates in asked)

    def score_all(self, asked: Iterable[tuple[Key, Texts]]) -> Iterator[tuple[Key, list[Score]]]:
        """Yield the scores of each query's passages with the key that came with it, in the order given."""
        return self._map((key, (query, passages, False)) for key, (query, passages) in asked)

    def describe(self) -> dict[str, Any]:
        """Describe the model as the workers loaded it; a run with nothing left to do asks one of them."""
        if self._model is None:
            for _ in self._map([(None, None)]):
                pass
        return self._model or {}

    def _map(self, asked: Iterable[tuple[Key, Any]]) -> Iterator[tuple[Key, Any]]:
        first: dict[str, Any] | None = None
        for key, (found, about) in ray_map(asked, self._make, self._pool):
            if first is None:
                first, self._model = about, about["model"]
            elif about != first:
                _refuse_differing(first, about)
            yield key, found


def _refuse_differing(first: dict[str, Any], other: dict[str, Any]) -> None:
    names = [
        name
        for part in ("model", "versions")
        for name in sorted(first[part].keys() | other[part].keys())
        if name != "directory" and first[part].get(name) != other[part].get(name)
    ]
    if names:
        raise ConfigurationError(
            f"the workers of the cluster differ in {', '.join(names)}, so their scores would.",
            remedy="Install the same versions everywhere; name the --scoring-engine where machines differ.",
        )


def load_worker(spec: ModelSpec, fusion: Fusion | None, fields: PassageFields, min_relevance: float = 0.0) -> Work:
    """Load the model on a worker, and return its work: (query, candidates or passages, whether to rank) → the result.

    Each result comes with what describes the worker. None asks for the description alone.
    """
    from sidecar.scoring.fingerprint import content_digest
    from sidecar.scoring.loading import load

    reranker = Reranker(load(replace(spec, cache_size=0)), fusion, fields, min_relevance=min_relevance)
    about = {
        "model": {**describe_model(spec, reranker), "content": content_digest(spec)},
        "versions": versions(),
    }

    def work(part: list[Any]) -> list[Any]:
        ranked = reranker.rank_all((place, one[0], one[1]) for place, one in enumerate(part) if one and one[2])
        found: dict[int, Any] = dict(ranked)
        for place, one in enumerate(part):
            if one and not one[2]:
                found[place] = reranker.scorer.score(one[0], one[1])
        return [(found.get(place), about) for place in range(len(part))]

    return work
