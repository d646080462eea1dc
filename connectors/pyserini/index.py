"""A local Lucene index, opened for BM25. Reads only; `connectors.pyserini.build` makes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connectors.pyserini.commits import index_commit
from connectors.pyserini.hits import LuceneHit
from connectors.pyserini.jvm import java_failure, start_jvm
from connectors.pyserini.prebuilt import find_index
from connectors.pyserini.rm3 import Rm3, widen
from connectors.pyserini.searching import searching
from sidecar.core.errors import ConfigurationError, EngineError, IndexNotFound, InputError

# Java's largest int; Lucene itself allocates no more space than the index has documents.
_MOST_HITS = 2**31 - 1


class LuceneIndex:
    """The Lucene index in a directory, searched by BM25 with Anserini's defaults k1 = 0.9 and b = 0.4.

    `index` is the directory, or the name of one of Pyserini's prebuilt indexes, which is downloaded if it is not in
    Pyserini's cache. With `rm3` a query is first expanded by RM3. Opening it starts the JVM if none runs yet (for
    another heap size call `jvm.start_jvm` before). Raises IndexNotFound, ConfigurationError or JavaError, and what
    `prebuilt.find_index` raises. Searching is safe from several threads.
    """

    def __init__(self, index: str | Path, *, k1: float = 0.9, b: float = 0.4, rm3: Rm3 | None = None) -> None:
        if not (k1 >= 0 and 0 <= b <= 1):
            raise ConfigurationError(f"BM25 with k1={k1} and b={b}.", remedy="k1 must be at least 0, and b in [0, 1].")
        self.path = find_index(index)
        self.name = self.path.resolve().name if self.path == Path(index) else str(index)
        self.k1 = k1
        self.b = b
        self.rm3 = rm3
        _check_is_index(self.path)
        autoclass = start_jvm()
        self._searcher = _open(autoclass, self.path)
        self._searcher.set_bm25(float(k1), float(b))
        if rm3 is not None:
            widen(self._searcher, rm3)
        self._new_list: Callable[[], Any] = autoclass("java.util.ArrayList")

    @property
    def source(self) -> str:
        """Return where the hits come from, for the records of a run."""
        return f"{self.path} ({len(self)} documents)"

    @property
    def commit(self) -> str:
        """Return the SHA-256 of the index's newest commit (`index_commit`)."""
        return index_commit(self.path)

    def __len__(self) -> int:
        return int(self._searcher.get_total_num_docs())

    def search(self, query: str, k: int = 10) -> list[LuceneHit]:
        """Return the first `k` hits, best first, equal scores by docid. Raises InputError or EngineError."""
        check_query(query)
        with searching(f"the query {query[:80]!r}"):
            return [_hit(scored) for scored in self._searcher.search(query, _depth(k))]

    def batch_search(
        self, queries: Sequence[str], qids: Sequence[str], k: int = 10, threads: int = 1
    ) -> dict[str, list[LuceneHit]]:
        """Search for many queries on `threads` threads of Java; each qid's hits are those of `search`."""
        for query, qid in zip(queries, qids, strict=True):
            check_query(query, qid)
        try:
            with searching(f"a batch of {len(queries)} queries"):
                java_queries, java_qids = self._list(queries), self._list(qids)
                found = self._searcher.batch_search(java_queries, java_qids, _depth(k), threads)
                return {qid: [_hit(scored) for scored in found.get(qid) or ()] for qid in qids}
        except EngineError:
            # Anserini fails for the whole batch and does not name the query; searching one by one finds it.
            return {qid: self.search(query, k) for query, qid in zip(queries, qids, strict=True)}

    def doc(self, docid: str) -> LuceneHit | None:
        """Return a document by its docid, with score 0 and Lucene's docid -1; None if the index does not have it."""
        with searching(f"the docid {docid[:80]!r}"):
            document = self._searcher.doc(docid)
            if document is None:
                return None
            return LuceneHit(docid, 0.0, -1, document.get("raw"), document.get("contents"))

    def sample(self) -> LuceneHit | None:
        """Return some document, as `doc` does; None if the index is empty."""
        with searching("its first document"):
            document = self._searcher.doc(0) if len(self) else None
            if document is None:
                return None
            return LuceneHit(document.get("id") or "", 0.0, 0, document.get("raw"), document.get("contents"))

    def close(self) -> None:
        """Close the index's files; the JVM stays."""
        self._searcher.close()

    def _list(self, strings: Sequence[str]) -> Any:
        java_list = self._new_list()
        for string in strings:
            java_list.add(string)
        return java_list

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def is_index(directory: Path) -> bool:
    """True if a directory holds a committed Lucene index."""
    return directory.is_dir() and any(directory.glob("segments_*"))


def check_query(query: str, qid: str = "") -> None:
    """Raise InputError for a query that Lucene can't search."""
    which = f"Query {qid}" if qid else "The query"
    if not query.strip():
        raise InputError(f"{which} is empty.", remedy="Ask for at least one word.")
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{which} is not valid Unicode: {error}.", remedy="Pass well-formed text.") from error


def _depth(k: int) -> int:
    if k < 1:
        raise InputError(f"{k} hits can't be asked for.", remedy="Ask for at least one.")
    return min(k, _MOST_HITS)


def _check_is_index(path: Path) -> None:
    if is_index(path):
        return
    if not path.exists():
        problem = f"There is no directory '{path}'."
    elif not path.is_dir():
        problem = f"'{path}' is a file; a Lucene index is a directory."
    else:
        problem = f"The directory '{path}' holds no Lucene index (no segments_* file)."
    raise IndexNotFound(
        problem,
        remedy="Build one with `sidecar index CORPUS.jsonl --index DIR`, or give the name of one of Pyserini's "
        "prebuilt indexes, as msmarco-v1-passage.",
    )


def _open(autoclass: Callable[[str], Any], path: Path) -> Any:
    from jnius import JavaException

    try:
        # Java knows only the working directory in which its process started; Python may have changed it.
        return autoclass("io.anserini.search.SimpleSearcher")(str(path.absolute()))
    except JavaException as error:
        raise IndexNotFound(
            f"The Lucene index in '{path}' can't be opened: {java_failure(error)}",
            remedy="It is damaged, or written by another Lucene than this pyserini's: build it again.",
        ) from error


def _hit(scored: Any) -> LuceneHit:
    document = scored.lucene_document
    return LuceneHit(scored.docid, scored.score, scored.lucene_docid, document.get("raw"), document.get("contents"))
