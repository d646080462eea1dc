"""Builds the parts of a command from the settings: reranker, connector, client."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sidecar.cli.effects import in_effect
from sidecar.cli.model_fetch import fetch_missing
from sidecar.cli.options import ASKING, FIELDS, FUSION, LISTWISE, MODEL
from sidecar.cli.progress import working
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.model_spec import is_remote
from sidecar.reranker import Reranker
from sidecar.settings import Settings

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from connectors.pyserini import LuceneIndex, PyseriniServer
    from sidecar.core.model_spec import ModelSpec
    from sidecar.listwise.stage import ListwiseStage
    from sidecar.scoring import Scorer
    from sidecar.scoring.score_store import ScoreStore


def build_reranker(
    settings: Settings,
    *,
    remember: bool = True,
    store: ScoreStore | None = None,
    min_relevance: float | None = None,
    listwise: ListwiseStage | None = None,
    scorer: Scorer | None = None,
) -> Reranker:
    """Load the model and join it with the fusion. Raises `ModelError`, or `FusionError` before anything is loaded.

    A `scorer` is the model of these settings, loaded before, which is taken instead.

    With `min_relevance` less relevant hits are left out; raises `ConfigurationError` if the model can't tell. With
    `listwise` the first hits get the order of a generator.

    Without `remember` a score never depends on what was scored before, so that a resumed run gives the same bytes;
    but what is in the `store` is taken from there.
    """
    fusion, spec = settings.as_fusion(), settings.as_model()
    if scorer is None:
        fetch_missing(spec)
        with working(f"loading the model {spec.model}"):
            from sidecar.scoring.loading import load

            scorer = load(spec if remember else replace(spec, cache_size=0))
    more: dict[str, Any] = {"min_relevance": min_relevance or 0.0, "listwise": listwise}
    reranker = Reranker(scorer, fusion, settings.as_fields(), **more)
    if store is None:
        return reranker
    from sidecar.scoring.fingerprint import fingerprint
    from sidecar.scoring.score_store import RememberingScorer

    name = fingerprint(scorer, spec)
    return Reranker(RememberingScorer(scorer, store, name), reranker.fusion, reranker.fields, **more)


@contextmanager
def open_scores(settings: Settings) -> Iterator[ScoreStore | None]:
    """Open the score file of the settings, if they name one. Raises what `ScoreStore` does."""
    if settings.score_file is None:
        yield None
        return
    from sidecar.scoring.score_store import ScoreStore

    with closing(ScoreStore(settings.score_file)) as store:
        yield store


def identity(
    settings: Settings, sources: Mapping[str, Path], output_format: str, names: Sequence[str], **more: object
) -> dict[str, Any]:
    """Return everything that decides a run's result: a run is continued only if all of it is the same.

    Of each source the content counts, not its name; `names` are the settings that matter beside model and fusion. Of
    all of them only those in effect are kept.
    """
    mine = [name for name in in_effect((*MODEL, *FUSION, *FIELDS, "window"), settings) if name not in ASKING]
    deciding = chosen(settings, (*mine, *names))
    fusion = settings.as_fusion()
    if fusion is not None and "fusion_weight" in deciding:
        deciding["fusion_weight"] = fusion.model_share  # the default depends on the method
    with working("computing checksums of the input"):
        digests = {name: digest(path) for name, path in sources.items()}
    return {**digests, "format": output_format, **deciding, **more}


def stage_two_identity(settings: Settings) -> dict[str, Any]:
    """Return the part of a run's identity that stage two is; empty without one, as in older runs.

    Raises `ConfigurationError` for settings that contradict each other.
    """
    if settings.as_stage_two() is None:
        return {}
    return chosen(
        settings, [name for name in in_effect((*LISTWISE, "listwise_request"), settings) if name not in ASKING]
    )


@contextmanager
def open_stage_two(settings: Settings, *, fail_open: bool = False) -> Iterator[ListwiseStage | None]:
    """Load the generator of the settings, or connect to it; None if there is none. Raises what `load_listwise` does."""
    spec = settings.as_stage_two()
    if spec is None:
        yield None
        return
    from sidecar.listwise.loading import load_listwise

    with working(f"loading the generator {spec.model}"):
        stage = load_listwise(spec, fail_open=fail_open)
    with closing(stage):
        yield stage


def threshold(settings: Settings) -> dict[str, float]:
    """Return the part of a run's identity that `min_relevance` is; empty without one, as in older runs."""
    return {"min_relevance": settings.min_relevance} if settings.min_relevance else {}


def model_files(settings: Settings) -> str:
    """Return an identifier of the content of the model's files; fetch them if they are not on this machine."""
    spec = settings.as_model()
    fetch_missing(spec)
    with working(f"computing checksums of the model {spec.model}"):
        from sidecar.scoring.fingerprint import content_digest

        return content_digest(spec)


def chosen(settings: Settings, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of some settings, as JSON values."""
    return settings.model_dump(mode="json", include=set(names))


def describe_model(spec: ModelSpec, reranker: Reranker) -> dict[str, Any]:
    """Describe the model for a manifest: where it is, its engine, the fusion.

    Of a local one: its directory, its commit at the hub, its device. Of a remote one: what its server tells.
    """
    # An engine of its own arithmetic reads the weights as the placement says, and computes in another precision.
    engine = reranker.scorer.engine_name
    where = {"note": reranker.scorer.manifest.note} if is_remote(spec.model) else _files_of(spec, engine)
    # The model's own fusion where the settings name none.
    return {"model": spec.model, **where, "engine": engine, "fusion": reranker.fusion.as_dict()}


def _files_of(spec: ModelSpec, engine: str) -> dict[str, Any]:
    from sidecar.scoring.checkpoints.checkpoint import Placement
    from sidecar.scoring.engines.names import PRECISION_OF
    from sidecar.scoring.loading import locate

    directory = locate(spec.model, revision=spec.revision, offline=True).directory
    # The hub's cache lays a checkpoint out as snapshots/COMMIT.
    commit = {"commit": directory.name} if directory.parent.name == "snapshots" else {}
    placement = Placement(spec.device, spec.dtype).describe(computed_in=PRECISION_OF.get(engine))
    return {"directory": str(directory), **commit, "placement": placement}


def require(*paths: Path) -> None:
    """Raise `InputError` if one of the files does not exist, before anything is loaded that takes seconds."""
    for path in paths:
        if not path.exists():
            raise InputError(f"can't read {path}: No such file or directory.")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, of the files of a folder in order, or a dataset's id.

    Raises InputError for a file that can't be read, and for a pipe: what was read of it is gone.
    """
    from sidecar.core.collection_folders import files_in
    from sidecar.experiments.datasets import PREFIX, dataset_id

    dataset = dataset_id(path)
    if dataset is not None:
        return f"{PREFIX}{dataset}"
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(
            f"{path} is a pipe or a device, and is read more than once.", remedy="Write it to a file, and give that."
        )
    found = hashlib.sha256()
    try:
        for file in files_in(path):
            with file.open("rb") as opened:
                while block := opened.read(1 << 20):
                    found.update(block)
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}.") from None
    return found.hexdigest()


def build_opensearch_client(settings: Settings) -> OpenSearch:
    """Make the client these settings describe; nothing is sent yet.

    Raises `ConfigurationError` for a wrong URL, settings that contradict each other, and certificates without use.
    """
    from connectors.opensearch.transport import connect
    from sidecar.opensearch_account import access

    return connect(
        settings.opensearch_url,
        access(settings),
        timeout=settings.opensearch_timeout,
        retries=settings.opensearch_retries,
    )


def open_lucene(index: str, settings: Settings) -> LuceneIndex | PyseriniServer:
    """Open a local Lucene index, or one behind the Pyserini server of these settings. Raises what the two do."""
    from connectors.pyserini import LuceneIndex, PyseriniServer, Rm3
    from connectors.pyserini.prebuilt import find_index

    if settings.pyserini_url is None:
        rm3 = Rm3(settings.rm3_fb_terms, settings.rm3_fb_docs, settings.rm3_original_query_weight)
        # A prebuilt index that is not here yet is fetched by Pyserini, which shows its own progress.
        find_index(index)
        with working(f"starting Java and opening the index {index}"):
            return LuceneIndex(index, k1=settings.k1, b=settings.b, rm3=rm3 if settings.rm3 else None)
    if settings.rm3:
        raise ConfigurationError("A Pyserini server has no RM3.", remedy="Search without --rm3, or a local index.")
    # Without k1 or b in the settings the server uses its own: not every index of a server is one for BM25.
    chosen = not settings.model_fields_set.isdisjoint({"k1", "b"})
    key = settings.pyserini_api_key
    return PyseriniServer(
        settings.pyserini_url,
        index,
        bm25=(settings.k1, settings.b) if chosen else None,
        api_key=key.get_secret_value() if key else None,
        timeout=settings.pyserini_timeout,
    )
