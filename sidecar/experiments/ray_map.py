"""Compute on the workers of a Ray cluster with Ray Data: results in order, parts retried when a worker dies.

Knows neither models nor runs. The items are kept in Ray's object store, which writes to disk what does not fit in
memory, and their keys in a temporary file. So the memory of this process does not grow with them.
"""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sidecar.core.errors import ConfigurationError, InputError, ScoringError, SidecarError

Key = TypeVar("Key")

# Items that a worker gets at once. Smaller parts lose time to Ray, larger ones more work when a worker dies.
PART = 32
# Ray's own default has no limit: a part that ends its worker each time would be tried forever.
_RETRIES = 3

# What runs on a worker: made once there, then called with the items of a part.
Work = Callable[[list[Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class Pool:
    """How many workers compute, and the CPUs and GPUs of each; None is decided by what the cluster has.

    Without a number of workers there is one for each GPU, or one for each machine if there is no GPU.
    """

    workers: int | None = None
    cpus: float | None = None
    gpus: float | None = None


@contextmanager
def ray_cluster(address: str | None = None) -> Iterator[None]:
    """Connect to the cluster at an address, by default RAY_ADDRESS; without one, start Ray on this machine.

    Raises `ConfigurationError` if Ray is not installed or can't be reached.
    """
    # Ray reads it when it is imported: nothing is reported to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigurationError(
            f"Ray is not installed: {error}.", remedy="Install it with: pip install 'rerank-sidecar[ray]'"
        ) from None
    ours = not ray.is_initialized()
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ours:
        # Without an address Ray would join any cluster that happens to run on this machine.
        address = address or os.environ.get("RAY_ADDRESS") or "local"
        local = {"include_dashboard": False} if address == "local" else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
        except Exception as error:
            raise ConfigurationError(
                f"Ray can't be {'started on this machine' if address == 'local' else f'reached at {address}'}: {error}",
                remedy="Start it there (ray start --head), or give another --ray-address.",
            ) from error
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


def ray_map(asked: Iterable[tuple[Key, Any]], make: Callable[[], Work], pool: Pool) -> Iterator[tuple[Key, Any]]:
    """Yield each key with the result of its item, in the order given; call it within `ray_cluster`.

    `make` and the items are pickled. `make` is called once on each worker, where it loads what the work needs; the work
    gets a list of items and returns as many results. All items are read before the first is computed.

    Raises what the work raises, if it is a `SidecarError`; `ScoringError` for any other error, and if a part ends its
    worker again and again; `ConfigurationError` if the cluster is too small; `InputError` if the disk is full.
    """
    import ray
    from ray.exceptions import RayError

    with tempfile.TemporaryFile() as keys:
        refs = _put(asked, keys)
        keys.seek(0)
        try:
            for answer in _answers(refs, make, _fitted(pool, ray)):
                for result in _opened(answer):
                    yield pickle.load(keys), result  # noqa: S301 - written above
        except RayError as error:
            raise ScoringError(
                f"the work on Ray ended: {str(error).strip().partition(chr(10))[0]}",
                remedy="Did a worker run out of memory? What is finished is kept; continue with --resume.",
            ) from error


def _put(asked: Iterable[tuple[Key, Any]], keys: Any) -> list[Any]:
    """Put the items into the object store, a part each, and write their keys to a file."""
    import pyarrow as pa
    import ray

    waiting, refs = iter(asked), []
    while part := list(islice(waiting, PART)):
        try:
            for key, _ in part:
                pickle.dump(key, keys, pickle.HIGHEST_PROTOCOL)
            keys.flush()
        except OSError as error:
            raise InputError(
                f"the queries can't be kept on disk: {error.strerror}.",
                remedy="They go to a temporary file: point the variable TMPDIR at a folder with more space.",
            ) from error
        payload = pickle.dumps([item for _, item in part], pickle.HIGHEST_PROTOCOL)
        refs.append(ray.put(pa.table({"payload": pa.array([payload], pa.large_binary())})))
    return refs


def _answers(refs: list[Any], make: Callable[[], Work], pool: Pool) -> Iterator[bytes]:
    """Yield the answer to each part, in order."""
    import pyarrow as pa
    import ray

    if not refs:
        return

    class Worker:
        def __init__(self) -> None:
            self.failure: Exception | None = None
            try:
                self.work = make()
            except Exception as error:  # noqa: BLE001 - raised where the results are read: Ray would start it again
                self.failure = error

        def __call__(self, part: Any) -> Any:
            answer = _answer(self, part["payload"][0].as_py())
            return pa.table({"payload": pa.array([answer], pa.large_binary())})

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    with warnings.catch_warnings():
        # Ray Data retries without limit, and has no other place for a limit until 2.64.
        warnings.simplefilter("ignore", DeprecationWarning)
        found = ray.data.from_arrow_refs(refs).map_batches(
            Worker,
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(pool.workers or 1, len(refs))),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
            max_task_retries=_RETRIES,
        )
    for batch in found.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from batch["payload"].to_pylist()


def _answer(worker: Any, payload: bytes) -> bytes:
    """Compute a part on a worker; an error is an answer too, so that Ray retries only after a lost worker."""
    failure = worker.failure
    if failure is None:
        try:
            return pickle.dumps((worker.work(pickle.loads(payload)), None), pickle.HIGHEST_PROTOCOL)  # noqa: S301
        except Exception as error:  # noqa: BLE001 - raised where the results are read
            failure = error
    if not isinstance(failure, SidecarError):
        failure = ScoringError(f"a worker failed: {type(failure).__name__}: {failure}")
    with suppress(Exception):
        return pickle.dumps((None, failure), pickle.HIGHEST_PROTOCOL)
    return pickle.dumps((None, ScoringError(failure.message, remedy=failure.remedy)), pickle.HIGHEST_PROTOCOL)


def _opened(answer: bytes) -> list[Any]:
    results, failure = pickle.loads(answer)  # noqa: S301 - of our own worker
    if failure is not None:
        raise failure
    found: list[Any] = results
    return found


def _fitted(pool: Pool, ray: Any) -> Pool:
    """Return the pool with every number decided. Raises `ConfigurationError` if the cluster is too small for it."""
    has = ray.cluster_resources()
    cpus, gpus = has.get("CPU", 0.0), has.get("GPU", 0.0)
    machines = sum(1 for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU"))
    each = min(1.0, gpus) if pool.gpus is None else pool.gpus
    workers = pool.workers or max(1, int(gpus / each) if each else machines)
    # A scorer on a CPU uses all of a machine's; beside a GPU it needs some to tokenise.
    share = pool.cpus or max(1.0, cpus // workers)
    if workers * share > cpus or workers * each > gpus:
        raise ConfigurationError(
            f"{workers} workers of {share:g} CPUs and {each:g} GPUs do not fit: the cluster has {cpus:g} CPUs and "
            f"{gpus:g} GPUs.",
            remedy="Lower --ray-workers, --ray-cpus or --ray-gpus.",
        )
    return Pool(workers, share, each)
