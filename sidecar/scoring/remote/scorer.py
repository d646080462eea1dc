"""A remote model as a Scorer: for the command line and the library, which call it from any thread.

Its requests run in an event loop of its own, in a thread. Reading a query sends it: while one query is fused, the next
ones are already being scored.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import msgspec

from sidecar.core.candidates import Passage, Score
from sidecar.core.errors import ConfigurationError, ScorerUnavailable
from sidecar.core.model_spec import ModelSpec, Remote
from sidecar.core.token_guess import guess_tokens
from sidecar.scoring.checkpoints.manifest import Manifest, PreferredFusion
from sidecar.scoring.remote.loop_thread import LoopThread
from sidecar.scoring.remote.server_info import ServerInfo, check_addresses
from sidecar.scoring.remote.servers import RemoteScores, RemoteServers
from sidecar.scoring.score_mapping import Mapping


@dataclass(frozen=True, slots=True)
class RemotePairs:
    """A query that was sent with its passages, and the scores to come; a part of it is sent anew."""

    scorer: RemoteScorer
    query: str
    passages: Sequence[Passage]
    coming: Future[RemoteScores] | None

    @property
    def lengths(self) -> Sequence[int]:
        """Return an estimate of the tokens of each pair."""
        return guess_tokens(self.query, self.passages)

    def part(self, start: int, stop: int) -> RemotePairs:
        """Return some of the passages."""
        if (start, stop) == (0, len(self.passages)):
            return self
        return RemotePairs(self.scorer, self.query, self.passages[start:stop], None)


class RemoteScorer:
    """Scores by asking servers; all of a query's passages are scored, or an error says why not."""

    def __init__(self, name: str, urls: Sequence[str], remote: Remote) -> None:
        self.name = name
        self._remote = remote
        self._loop = LoopThread("remote scorer")
        self._servers = RemoteServers(urls, remote)
        self.close = weakref.finalize(self, _close, self._loop, self._servers)
        try:
            self.info: ServerInfo = self._loop.call(self._servers.open()).result()
        except BaseException:
            self.close()
            raise
        self.manifest = manifest_of(self.info)

    @property
    def engine_name(self) -> str:
        """Return `remote` with the dialect."""
        return f"remote {self.info.dialect}"

    @property
    def mapping(self) -> Mapping:
        """Return the mapping that the server tells, or the one that suits the dialect."""
        return self.info.mapping

    @property
    def identity(self) -> str:
        """Return what distinguishes the model from others, as far as the server tells."""
        return self.info.identity

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Return one score for each passage, in the order given. Raises ScorerUnavailable, ScoringError."""
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query: str, passages: Sequence[Passage]) -> RemotePairs:
        """Send a query with its passages, without waiting for the answer."""
        return RemotePairs(self, query, passages, self._send(query, passages))

    def score_all(self, tokenized: Sequence[RemotePairs]) -> list[list[Score]]:
        """Wait for the scores of several queries. Raises ScorerUnavailable, ScoringError."""
        coming = [one.coming or self._send(one.query, one.passages) for one in tokenized]
        return [self._complete(one.result()) for one in coming]

    def _send(self, query: str, passages: Sequence[Passage]) -> Future[RemoteScores]:
        return self._loop.call(self._servers.scores(query, passages, seconds=self._remote.timeout))

    def _complete(self, found: RemoteScores) -> list[Score]:
        scores = [score for score in found.values if score is not None]
        if len(scores) == len(found.values):
            return scores
        raise found.error or ScorerUnavailable(
            f"{self.name} scored {len(scores)} of {len(found.values)} passages within {self._remote.timeout:g} s.",
            remedy="Raise SIDECAR_REMOTE_TIMEOUT, or lower the window.",
        )


def load_remote(spec: ModelSpec) -> RemoteScorer:
    """Connect to the servers of a specification. Raises ConfigurationError for an option that only a local model has.

    Raises ScorerUnavailable if no server answers, ModelError if one can't be used.
    """
    return RemoteScorer(spec.model, check_remote(spec), spec.remote)


def check_remote(spec: ModelSpec) -> list[str]:
    """Return the addresses of a specification's servers. Raises ConfigurationError."""
    plain = ModelSpec(model=spec.model, remote=spec.remote)
    # Keeping no scores and compiling nothing are what a remote scorer does anyway.
    allowed = {"cache_size", "compile", "offline"}
    given = [
        name for name in spec.__struct_fields__ if name not in allowed and getattr(spec, name) != getattr(plain, name)
    ]
    if given:
        raise ConfigurationError(
            f"{', '.join(given)}: only a model on this machine takes it; {spec.model} is asked as it runs.",
            remedy="Leave it out, or set it at the server.",
        )
    return check_addresses(spec.model)


def manifest_of(info: ServerInfo) -> Manifest:
    """Return what is known of a remote model as a manifest: its token limit and the fusion that it prefers."""
    fusion = PreferredFusion(info.fusion.method, info.fusion.normalization, info.fusion.weight)
    manifest = Manifest(fusion=fusion, note=f"remote: {info.identity}")
    if info.max_length is None:
        return manifest
    return msgspec.structs.replace(manifest, max_length=max(8, info.max_length))


def _close(loop: LoopThread, servers: RemoteServers) -> None:
    loop.close(servers.close())
