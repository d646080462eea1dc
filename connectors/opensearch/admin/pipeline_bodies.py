"""Bodies of the parts of a pipeline (connector, model, search pipeline), and how they are recognised. No I/O.

Source: ML Commons' blueprints (https://docs.opensearch.org/latest/ml-commons-plugin/remote-models/blueprints/) and the
`rerank` processor of neural-search; 2.19.1, measured.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sidecar.core.errors import ConfigurationError

MARK = "Made by `sidecar install-pipeline`"
NO_KEY = "none"
CONNECT_SECONDS = 5

# ML Commons passes texts to the script that are escaped for JSON already, and fills in `${parameters.…}` afterwards,
# anywhere in the body: with its own function a document that holds such words fails the whole search (2.19.1). A body
# without a dollar sign is left alone. A parameter that is a JSON object is not escaped again.
_SCRIPT = r"""String head = 'HEAD';
StringBuilder documents = new StringBuilder();
for (String text : params.text_docs) {
  documents.append(documents.length() == 0 ? '"' : ',"').append(text.replace('$', '\\u0024')).append('"');
}
String query = params.query_text.replace('$', '\\u0024');
String body = head + '"query":"' + query + '","documents":[' + documents + ']}';
return '{"parameters":{"body":"' + body.replace('\\', '\\\\').replace('"', '\\"') + '"}}';
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted state of the cluster.

    `url` is the sidecar's rerank API as OpenSearch reaches it, `fields` the top-level document fields that are sent,
    `model` one that the sidecar declares (None: its default), `seconds` how long OpenSearch waits for an answer.
    Raises `ConfigurationError` for what can't be made.
    """

    name: str
    url: str
    fields: tuple[str, ...]
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    seconds: int = 30

    def __post_init__(self) -> None:
        check_name(self.name)
        if not _is_plain_url(self.url):
            raise ConfigurationError(
                "the sidecar's URL can't be read.",
                remedy="Write it as OpenSearch reaches it, like http://sidecar.internal:9281, without an account.",
            )
        if not self.fields:
            raise ConfigurationError("no document field is named.", remedy="Name those that hold text: title,text.")
        if self.api_key is not None and not re.fullmatch(r"[!-~]+", self.api_key):
            raise ConfigurationError("the API key is not one word of ASCII.", remedy="A header can't carry it.")

    @property
    def endpoint(self) -> str:
        """The URL that OpenSearch calls, as its regular expression of trusted endpoints matches it."""
        return f"{self.url.rstrip('/')}/v1/rerank"


def check_name(name: str) -> None:
    """Raise `ConfigurationError` for what can't name a search pipeline in a URL."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
        raise ConfigurationError(
            f"{name!r} can't name a search pipeline.", remedy="Use letters, digits, '-', '_', '.'."
        )


def connector_body(wanted: Wanted, salt: str) -> dict[str, Any]:
    """Write the body that creates the connector; `salt` is for the digest of the key."""
    return {
        "name": wanted.name,
        "description": f"{MARK}. {_said_of_key(wanted.api_key, salt)}",
        "version": "1",
        "protocol": "http",
        # ML Commons wants a credential.
        "credential": {"key": wanted.api_key or NO_KEY},
        # Seconds. ML Commons' own time-out is 30000 of them; a second try would only double the load.
        "client_config": {
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": wanted.seconds,
            "max_retry_times": 0,
        },
        "actions": [_action(wanted)],
    }


def model_body(name: str, connector: str) -> dict[str, Any]:
    """Write the body that registers the model. ML Commons makes a group of the same name and description for it."""
    return {"name": name, "function_name": "remote", "description": f"{MARK}.", "connector_id": connector}


def pipeline_body(wanted: Wanted, model: str) -> dict[str, Any]:
    """Write the body of the search pipeline."""
    processor = {"ml_opensearch": {"model_id": model}, "context": {"document_fields": list(wanted.fields)}}
    return {"description": f"{MARK}.", "response_processors": [{"rerank": processor}]}


def is_ours(found: Mapping[str, Any]) -> bool:
    """Tell by a part's description whether `install-pipeline` created it."""
    return str(found.get("description") or "").startswith(MARK)


def differences(found: Mapping[str, Any], wanted: Wanted) -> list[str]:
    """Name what differs between an existing connector and the wanted one; empty if nothing does."""
    (action, *more) = found.get("actions") or [{}]
    new = _action(wanted)
    parts = {
        f"the URL was {action.get('url')}": action.get("url") == new["url"],
        "the key": _key_fits(str(found.get("description")), wanted.api_key),
        "the time-outs": _holds(found.get("client_config") or {}, connector_body(wanted, "")["client_config"]),
        "the model": _head_in(action) == _head_in(new),
    }
    changed = [name for name, same in parts.items() if not same]
    kept = {name: value for name, value in new.items() if name not in {"url", "action_type"}}
    return changed or ([] if _holds(action, kept) and not more else ["the request"])


def model_of(pipeline: Mapping[str, Any]) -> str | None:
    """Return the model that a pipeline reranks by."""
    for processor in pipeline.get("response_processors") or []:
        if "rerank" in processor:
            return str(processor["rerank"].get("ml_opensearch", {}).get("model_id"))
    return None


def _action(wanted: Wanted) -> dict[str, Any]:
    return {
        "action_type": "predict",
        "method": "POST",
        "url": wanted.endpoint,
        "headers": {"Authorization": "Bearer ${credential.key}"},
        "request_body": "${parameters.body}",
        "pre_process_function": _SCRIPT.replace("HEAD", _head(wanted.model)),
        "post_process_function": "connector.post_process.cohere.rerank",
    }


def _head(model: str | None) -> str:
    """Write the start of the request, as the inside of a Painless string."""
    head = "{" if model is None else json.dumps({"model": model}, separators=(",", ":"))[:-1] + ","
    return head.replace("$", "\\u0024").replace("\\", "\\\\").replace("'", "\\'")


def _head_in(action: Mapping[str, Any]) -> str:
    return str(action.get("pre_process_function")).partition("\n")[0]


def _holds(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(found.get(name) == value for name, value in wanted.items())


def _said_of_key(key: str | None, salt: str) -> str:
    """Write a salted, slow digest that tells later whether a key is the same; ML Commons never shows a credential."""
    return "No key." if key is None else f"Key {salt}:{_digest(key, salt)}."


def _key_fits(description: str, key: str | None) -> bool:
    found = re.search(r" Key ([0-9a-f]+):([0-9a-f]+)\.$", description)
    if found is None or key is None:
        return found is None and key is None
    return hmac.compare_digest(found[2], _digest(key, found[1]))


def _digest(key: str, salt: str) -> str:
    return hashlib.scrypt(key.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=16).hex()


def _is_plain_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    fine = parts.scheme in {"http", "https"} and parts.hostname and port != 0 and parts.username is None
    return bool(fine and not parts.query and not parts.fragment and re.fullmatch(r"[!-~]+", url) and "$" not in url)


def split_fields(text: str) -> tuple[str, ...]:
    """Read `title,text`."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def dotted(fields: Sequence[str]) -> list[str]:
    """List the fields that the processor can't read: it reads only the top level of `_source` (2.19.1, measured)."""
    return [name for name in fields if "." in name]
