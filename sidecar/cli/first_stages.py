"""The first stage of `sidecar run` and `mine`, on either engine: turns topics into candidate lists, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.cli.effects import Condition, SearchEngine, in_effect
from sidecar.cli.factories import build_opensearch_client, open_lucene
from sidecar.cli.opensearch_fields import FieldWarnings, fields_to_search
from sidecar.cli.options import BM25, OPENSEARCH, PYSERINI, RM3
from sidecar.cli.progress import working
from sidecar.cli.terminal import say
from sidecar.core.candidates import FirstStage
from sidecar.core.errors import EngineError, EngineRejected, InputError
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.settings import Settings

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

# Queries whose hits are in memory with their texts until they are reranked.
ROUND = 32


# For every command that searches an index.
SEARCHED = (
    Condition(
        (*BM25, *RM3),
        lambda mode: mode.engine is SearchEngine.LUCENE,
        "OpenSearch computes BM25 by the settings of the index, and has no RM3",
    ),
    Condition(
        PYSERINI,
        lambda mode: mode.engine is SearchEngine.LUCENE,
        "OpenSearch is searched without a Pyserini server",
    ),
    Condition(
        ("opensearch_url", *OPENSEARCH),
        lambda mode: mode.engine is SearchEngine.OPENSEARCH,
        "a Lucene index is searched without OpenSearch",
    ),
    Condition(
        BM25,
        lambda mode: mode.pyserini_url is None or not mode.set.isdisjoint(BM25),
        "the Pyserini server computes BM25 by its own settings",
    ),
    Condition(RM3, lambda mode: mode.pyserini_url is None, "a Pyserini server has no RM3"),
)

# For commands that take a query body.
BODY = Condition(
    ("body",), lambda mode: mode.engine is SearchEngine.OPENSEARCH, "only OpenSearch is searched by a query body"
)

Fetch = Callable[[Mapping[str, str]], Mapping[str, FirstStage[Any]]]


@dataclass(frozen=True, slots=True)
class Stage:
    """An open first stage: `fetch` runs it for topics by query id, and keeps the documents with what it fetched.

    `identity` is what decides its hits, `about` what a manifest says of it.
    """

    fetch: Fetch
    identity: dict[str, str]
    about: dict[str, Any]

    def lists(self, topics: Iterable[tuple[str, str]]) -> Iterator[CandidateList]:
        """Yield the candidates of each topic, all that were fetched. Raises `EngineError` for a refused query.

        A query that the engine can't search for, of too many words, has no candidate: a person is told so, and the
        others go on.
        """
        waiting = iter(topics)
        while some := dict(islice(waiting, ROUND)):
            for qid, found in self._fetch(some):
                if found is None:
                    yield CandidateList(qid, some[qid], [], [])
                    continue
                if found.skipped is not None:
                    raise EngineError(
                        f"query {qid!r} can't be reranked: {found.skipped}.", remedy="Ask for fewer --hits."
                    )
                yield CandidateList(qid, some[qid], list(found.candidates), found.native.documents())

    def _fetch(self, topics: Mapping[str, str]) -> Iterator[tuple[str, FirstStage[Any] | None]]:
        try:
            yield from self.fetch(topics).items()
        except InputError as error:
            if len(topics) > 1:
                # Fetched one by one, they tell which of them it was.
                for qid, text in topics.items():
                    yield from self._fetch({qid: text})
                return
            [qid] = topics
            say(f"query {qid!r} has no candidates: {error.message}")
            yield qid, None


@contextmanager
def open_stage(
    engine: SearchEngine, index: str, settings: Settings, *, hits: int, threads: int, body: Path | None = None
) -> Iterator[Stage]:
    """Open the index for a run of `hits` hits for each query. Raises an `EngineError` or `ConfigurationError`.

    `body` is a file with a search body for OpenSearch; in place of `"{{query}}"` it gets the text of each query.
    """
    # Every hit that is fetched is a candidate: the run, not the connector, reranks the first of them.
    depth = max(hits, settings.window)
    if engine is SearchEngine.OPENSEARCH:
        with _opensearch(index, settings, depth, threads, body) as stage:
            yield stage
    else:
        with _lucene(index, settings, depth, threads) as stage:
            yield stage


@contextmanager
def _lucene(index: str, settings: Settings, depth: int, threads: int) -> Iterator[Stage]:
    from connectors.pyserini import LuceneIndex, LuceneRequest, PyseriniConnector

    with open_lucene(index, settings) as searcher:
        connector = PyseriniConnector(searcher, settings.as_fields())

        def fetch(topics: Mapping[str, str]) -> Mapping[str, FirstStage[Any]]:
            requests = {qid: LuceneRequest(text, depth, depth) for qid, text in topics.items()}
            return connector.fetch_batch(requests, threads)

        used = in_effect(BM25 + RM3, settings, SEARCHED, engine=SearchEngine.LUCENE)
        about = {"engine": "lucene", "index": searcher.source, **{name: getattr(settings, name) for name in used}}
        # A Pyserini server does not tell the state of its index.
        state = {"index_state": searcher.commit} if isinstance(searcher, LuceneIndex) else {}
        yield Stage(fetch, {"index": searcher.source, **state}, about)


@contextmanager
def _opensearch(index: str, settings: Settings, depth: int, threads: int, body: Path | None) -> Iterator[Stage]:
    from connectors.opensearch.admin.cluster_info import cluster_info, index_state, size
    from connectors.opensearch.connector import OpenSearchConnector, SearchRequest

    client = build_opensearch_client(settings)
    connector = OpenSearchConnector(client, settings.as_fields())
    with client, ThreadPoolExecutor(threads) as pool:
        with working(f"asking OpenSearch for the index {index}"):
            found = {"engine": "opensearch", "index": index, "documents": size(client, index)}
            # None if this account may not ask for it.
            state = index_state(client, index)
            body_of, warn = _bodies(client, index, settings, body, depth), FieldWarnings()

        def ask(text: str) -> FirstStage[Any]:
            try:
                return connector.fetch(SearchRequest(index, body_of(text), window=depth))
            except EngineRejected as error:
                if error.status == HTTPStatus.BAD_REQUEST and b"maxClauseCount" in error.body:
                    raise InputError(
                        "OpenSearch can't search for this query: it has too many different words.",
                        remedy="Shorten the query, or raise indices.query.bool.max_clause_count.",
                    ) from error
                raise

        def fetch(topics: Mapping[str, str]) -> Mapping[str, FirstStage[Any]]:
            fetched = dict(zip(topics, pool.map(ask, topics.values()), strict=True))
            for first_stage in fetched.values():
                warn(first_stage.native.warning)
            return fetched

        shown = settings.model_dump(mode="json")
        about = {
            **found,
            "url": shown["opensearch_url"],
            "version": cluster_info(client, index).version,
            "body": body_of("…"),
        }
        identity = {"engine": "opensearch", "index": f"{index} ({found['documents']} documents)"}
        yield Stage(fetch, identity if state is None else {**identity, "index_state": state}, about)


def _bodies(
    client: OpenSearch, index: str, settings: Settings, body: Path | None, depth: int
) -> Callable[[str], dict[str, Any]]:
    """Return what makes the search body of a query: from a file, or a search of the title and text fields."""
    from connectors.opensearch.rewrite.body_template import parse_template
    from connectors.opensearch.rewrite.match_body import match_body

    if body is None:
        fields = fields_to_search(client, index, settings)
        return lambda text: match_body(text, fields, depth)
    try:
        template = parse_template(body.read_bytes(), str(body))
    except OSError as error:
        raise InputError(f"can't read {body}: {error.strerror}.") from None
    return lambda text: template.filled(text, depth)
