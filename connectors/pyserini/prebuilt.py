"""Find Pyserini's prebuilt indexes by name: in its cache, or downloaded by Pyserini.

An index that Pyserini has downloaded before is opened without the network. For any other name Pyserini's tables are
read: pyserini 1.6 has them in Anserini's jar, 2.4 downloads them. `pyserini.search.lucene` is never imported.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import tarfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from connectors.pyserini.jvm import start_jvm
from sidecar.core.errors import ConfigurationError, EngineError, EngineUnreachable, IndexNotFound

# The form of such a name; a path does not match.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
# Tables of indexes that BM25 can't search, and the searchers that can.
_OTHER_KINDS = {
    "IMPACT_INDEX_INFO": "learned sparse weights, which LuceneImpactSearcher searches",
    "LUCENE_HNSW_INDEX_INFO": "vectors, which LuceneHnswDenseSearcher searches",
    "LUCENE_FLAT_INDEX_INFO": "vectors, which LuceneFlatDenseSearcher searches",
    "FAISS_INDEX_INFO": "vectors, which FaissSearcher searches",
}


def find_index(index: str | Path) -> Path:
    """Return the directory of an index: an existing directory, else that of the prebuilt index of this name.

    A path that can't be such a name is returned unchanged. Raises IndexNotFound for an unknown name, ConfigurationError
    for an index that BM25 can't search, EngineUnreachable if it can't be downloaded, EngineError if the download is
    damaged or can't be stored.
    """
    path = Path(index)
    if path.exists() or not isinstance(index, str) or not _NAME.fullmatch(index):
        return path
    return cached(index, os.environ) or _fetched(index)


def download_size(name: str) -> int:
    """Return how many bytes of a prebuilt index are not on this machine: 0 if it is in Pyserini's cache.

    Raises what `find_index` raises for an unknown name.
    """
    return 0 if cached(name, os.environ) else int(_tables(name).TF_INDEX_INFO[name]["size compressed (bytes)"])


def cached(name: str, environment: Mapping[str, str]) -> Path | None:
    """Look for a prebuilt index in Pyserini's cache; of several builds take the newest.

    Its directories are called `lucene-inverted.NAME.DATE.COMMIT.MD5`, and appear once they are complete.
    """
    shape = re.compile(
        rf"lucene-(inverted|index)\.{re.escape(name)}(?P<build>\.\d{{8}}\.[0-9a-f]{{6,}})?\.[0-9a-f]{{32}}"
    )
    for cache in _caches(environment):
        found = [(shape.fullmatch(path.name), path) for path in sorted((cache / "indexes").glob("lucene-*"))]
        builds = [(match["build"] or "", path) for match, path in found if match and path.is_dir()]
        if builds:
            return max(builds)[1]
    return None


def _caches(environment: Mapping[str, str]) -> list[Path]:
    if named := environment.get("PYSERINI_CACHE"):
        return [Path(named)]
    # Pyserini 2.4 takes the working directory's .cache if it exists.
    return [Path.cwd() / ".cache" / "pyserini", Path.home() / ".cache" / "pyserini"]


def _fetched(name: str) -> Path:
    _tables(name)
    return _download(name)


def _tables(name: str) -> Any:
    """Return Pyserini's tables, which have an index of this name. Raises what `find_index` does for any other."""
    start_jvm()  # 1.6 has its tables from Anserini
    try:
        import pyserini.prebuilt_index_info as tables

        known = name in tables.TF_INDEX_INFO
        if not known:
            raise _unknown(name, tables)
    except OSError as error:
        raise IndexNotFound(
            f"There is no directory '{name}', and the list of Pyserini's prebuilt indexes can't be reached: {error}.",
            remedy=f"Name the directory of an index, or connect to the network. {_LOOKED_IN}",
        ) from error
    return tables


_LOOKED_IN = "An index that Pyserini has fetched before is found in its cache (PYSERINI_CACHE) without a network."


def _unknown(name: str, tables: Any) -> IndexNotFound | ConfigurationError:
    for table, what in _OTHER_KINDS.items():
        if name in getattr(tables, table, ()):
            return ConfigurationError(
                f"The prebuilt index '{name}' holds {what}; BM25 can't.",
                remedy="Make that searcher of Pyserini's and pass it to RerankingSearcher or PyseriniConnector.",
            )
    close = difflib.get_close_matches(name, list(tables.TF_INDEX_INFO), n=3)
    return IndexNotFound(
        f"There is no directory '{name}', and no prebuilt index of Pyserini's has that name"
        + (f", did you mean {' or '.join(close)}?" if close else "."),
        remedy="Build an index with `sidecar index CORPUS.jsonl --index DIR`, or name a prebuilt one.",
    )


def _download(name: str) -> Path:
    from pyserini.util import download_prebuilt_index

    try:
        with redirect_stdout(sys.stderr):  # stdout is for results
            return Path(download_prebuilt_index(name))
    except ValueError as error:
        raise EngineUnreachable(
            f"The prebuilt index '{name}' is not in Pyserini's cache and can't be fetched: {error}",
            remedy=f"Connect to the network, or name the directory of an index. {_LOOKED_IN}",
        ) from error
    except (OSError, EOFError, AssertionError, tarfile.TarError) as error:
        raise EngineError(
            f"The prebuilt index '{name}' was not downloaded completely: {str(error) or type(error).__name__}",
            remedy="Try again; is there room in Pyserini's cache (PYSERINI_CACHE)?",
        ) from error
