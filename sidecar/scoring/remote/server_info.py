"""Find out which API a server has and what it says of its model. One GET or two; nothing is scored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import msgspec

from sidecar.core.errors import ConfigurationError, FusionError, ModelError
from sidecar.core.fusion import Fusion
from sidecar.core.model_spec import Remote
from sidecar.scoring.remote.dialects import (
    COHERE,
    DIALECTS,
    INFINITY,
    JINA,
    NIM,
    SIDECAR,
    TEI,
    VLLM,
    VOYAGE,
    RemoteDialect,
)
from sidecar.scoring.score_mapping import Mapping

AUTO = "auto"
# Vendors' own servers: their APIs list no models that could tell them apart.
_HOSTS = {"api.cohere.com": COHERE, "api.cohere.ai": COHERE, "api.jina.ai": JINA, "api.voyageai.com": VOYAGE}
_VENDORS = (COHERE, JINA, VOYAGE, NIM)
_OWNERS = {"rerank-sidecar": SIDECAR, "vllm": VLLM, "infinity": INFINITY}

# Gets a path below a server's address as JSON; None if there is none such.
Get = Callable[[str], Awaitable[object]]


class ToldModel(msgspec.Struct, frozen=True):
    """The description of a model by another sidecar, beside its name, in `/v1/models`."""

    identity: str
    mapping: Mapping
    fusion: Fusion
    max_length: int


class ServerInfo(msgspec.Struct, frozen=True):
    """A server's API and model.

    `identity` differs between models whose scores must not be mixed, as far as the server tells: a sidecar tells a
    fingerprint, any other a name.
    """

    dialect: str
    model: str | None
    largest: int
    identity: str
    mapping: Mapping
    fusion: Fusion = Fusion()
    max_length: int | None = None
    told_by_sidecar: bool = False


def check_addresses(model: str, *, kind: str = "scorer", key_variable: str = "SIDECAR_REMOTE_API_KEY") -> list[str]:
    """Return the servers' addresses, without an API's own path; `kind` names them. Raises ConfigurationError."""
    found = []
    for url in (part.strip() for part in model.split(",")):
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigurationError(f"{_shown(url)} is no URL of a {kind}.") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
            raise ConfigurationError(
                f"{_shown(url)} is no URL of a {kind}.", remedy="Write http://HOST:PORT, several with commas between."
            )
        if parts.username is not None or parts.query or parts.fragment:
            raise ConfigurationError(
                f"The URL of the {kind} at {parts.hostname} has an account, a query or a fragment.",
                remedy=f"Leave it out; a key is set by {key_variable}.",
            )
        found.append(_without_endpoint(url.rstrip("/")))
    return found


async def describe(url: str, remote: Remote, get: Get) -> ServerInfo:
    """Ask a server about itself. Raises ModelError if its API is unknown, or it has several models and none is named.

    What `get` raises passes through.
    """
    chosen = _named_dialect(remote, url)
    if chosen in _VENDORS:
        return _of_listing(url, chosen, remote, [])
    listing = _listed(await get("/v1/models"))
    chosen = chosen or next((_OWNERS[owner] for one in listing if (owner := str(one.get("owned_by"))) in _OWNERS), None)
    if chosen is None or chosen is TEI:
        info = await get("/info")
        if isinstance(info, dict) and "model_id" in info:
            return _of_tei(info)
    if chosen is None:
        listing = _listed(await get("/models"))
        chosen = next((_OWNERS[owner] for one in listing if (owner := str(one.get("owned_by"))) in _OWNERS), None)
    if chosen is None:
        raise ModelError(
            f"{url} does not tell which rerank API it has.",
            remedy=f"Set SIDECAR_REMOTE_DIALECT to one of {', '.join(DIALECTS)}.",
        )
    return _of_listing(url, chosen, remote, listing)


def _named_dialect(remote: Remote, url: str) -> RemoteDialect | None:
    if remote.dialect != AUTO:
        if remote.dialect not in DIALECTS:
            raise ConfigurationError(
                f"{remote.dialect!r} is no dialect of a remote scorer.", remedy=f"Dialects: {', '.join(DIALECTS)}."
            )
        return DIALECTS[remote.dialect]
    return _HOSTS.get(urlsplit(url).hostname or "")


def _of_tei(info: dict[str, object]) -> ServerInfo:
    largest, length = info.get("max_client_batch_size"), info.get("max_input_length")
    model = str(info["model_id"])
    return ServerInfo(
        TEI.name,
        None,
        largest if isinstance(largest, int) and largest > 0 else TEI.largest,
        f"tei {model} {info.get('model_sha')} {info.get('model_dtype')}",
        Mapping(),
        max_length=length if isinstance(length, int) else None,
    )


def _of_listing(url: str, dialect: RemoteDialect, remote: Remote, listing: list[dict[str, object]]) -> ServerInfo:
    names = [str(one["id"]) for one in listing if isinstance(one.get("id"), str)]
    if remote.model is not None and names and dialect in _OWNERS.values() and remote.model not in names:
        raise ModelError(f"{url} has no model {remote.model!r}.", remedy=f"It has {', '.join(names[:20])}.")
    model = remote.model
    if model is None and dialect in _OWNERS.values():
        if len(names) > 1 and dialect is not SIDECAR:  # a sidecar's first model is its default
            raise ModelError(
                f"{url} has several models.", remedy=f"Set SIDECAR_REMOTE_MODEL to one of {', '.join(names[:20])}."
            )
        model = names[0] if names else None
    if model is None and dialect is not TEI:
        raise ModelError(f"{url} has to be told a model.", remedy="Set SIDECAR_REMOTE_MODEL to the name of one.")
    own = next((one for one in listing if one.get("id") == model), {})
    if dialect is SIDECAR and "sidecar" in own:
        told = _told(url, own["sidecar"])
        identity = f"sidecar {told.identity}"
        return ServerInfo(
            dialect.name, model, dialect.largest, identity, told.mapping, told.fusion, told.max_length, True
        )
    identity = f"{dialect.name} {model} {own.get('root', '')}".strip()
    return ServerInfo(dialect.name, model, dialect.largest, identity, Mapping(relevance=not dialect.logits))


def _told(url: str, told: object) -> ToldModel:
    try:
        return msgspec.convert(told, ToldModel)
    except (msgspec.ValidationError, FusionError) as error:
        words = " ".join(str(error).split())
        raise ModelError(
            f"{url} tells of its model what can't be read: {words}.",
            remedy="Run the same version of rerank-sidecar on both sides.",
        ) from None


def _listed(answer: object) -> list[dict[str, object]]:
    found = answer.get("data") if isinstance(answer, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _without_endpoint(url: str) -> str:
    """Return the address of a server of which an endpoint was given, such as `http://host/v2/rerank`."""
    for path in sorted({*(one.path for one in DIALECTS.values()), "/v1/score"}, key=len, reverse=True):
        if url.endswith(path) and len(urlsplit(url).path) >= len(path):
            return url.removesuffix(path)
    return url


def _shown(url: str) -> str:
    return repr(url.rpartition("@")[2][:120])
