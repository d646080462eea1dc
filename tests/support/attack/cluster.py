"""A cluster with the security plugin: accounts that own an index each, and what must stay as it is in it."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass

from tests.support.live.opensearch_plugins import token

# Each account reads one index and nothing else. `mallory` attacks, and may write into `scratch`.
OWNERS = {"ada": "ada-docs", "bob": "bob-docs", "mallory": "public"}
MARKER = "precious"
DOCUMENTS = 60
SHARDS = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
# All accounts read these: two shards, of which a script can fail on one; and documents that make a large answer.
SHARED, LARGE = "shared", "large"
LARGE_DOCUMENTS = 6
PER_CLUSTER = ["indices:data/read/msearch", "cluster:monitor/main", "indices:data/read/scroll*"]


@dataclass(frozen=True)
class Account:
    """Who asks: its `Authorization`, the index it owns, and the word that only this index holds."""

    name: str
    authorization: str
    index: str
    word: str


@dataclass(frozen=True)
class SecuredCluster:
    """The node, its accounts, and the words that nobody else may ever see."""

    node: object
    accounts: dict[str, Account]

    @property
    def settings(self):
        return {"opensearch_url": self.node.url, "opensearch_ca_certs": str(self.node.login.ca)}

    def words_foreign_to(self, name):
        return [one.word.encode() for one in self.accounts.values() if one.name != name]

    def state(self):
        """Return what no attack may change: indices, their documents, accounts, pipelines, templates, settings."""
        ask = self.node.ask
        metadata = ask("GET", "_cluster/state/metadata")["metadata"]
        indices = metadata.pop("indices")
        kept = {name: indices[name]["mappings"] for name in sorted(indices) if is_watched(name)}
        for moving in ("cluster_coordination", "index-graveyard"):
            metadata.pop(moving, None)
        shards = ask("GET", "_all/_stats?level=shards&filter_path=indices.*.shards.*.seq_no.max_seq_no")["indices"]
        writes = {name: shards[name] for name in sorted(shards) if is_watched(name)}
        security = [ask("GET", f"_plugins/_security/api/{kind}") for kind in ("internalusers", "roles", "rolesmapping")]
        return {"metadata": metadata, "indices": kept, "writes": writes, "security": digest(security)}


def is_watched(name):
    return not name.startswith((".", "security-auditlog", "scratch", "top_queries"))


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def prepare(node):
    """Fill a fresh node; returns its accounts."""
    admin = Account("admin", node.login.authorization, MARKER, f"word-{secrets.token_hex(8)}")
    accounts = {"admin": admin}
    for name, index in OWNERS.items():
        accounts[name] = Account(name, f"Bearer {token(name)}", index, f"word-{secrets.token_hex(8)}")
    for account in accounts.values():
        node.ask("PUT", account.index, SHARDS)
        for i in range(DOCUMENTS):
            node.ask("PUT", f"{account.index}/_doc/{i}", {"text": f"fox {i} {account.word}", "n": i})
    node.ask("PUT", "scratch", SHARDS)
    node.ask("PUT", SHARED, {"settings": {"number_of_shards": 2, "number_of_replicas": 0}})
    for i in range(DOCUMENTS):
        node.ask("PUT", f"{SHARED}/_doc/{i}", {"text": f"fox {i}", "n": i})
    node.ask("PUT", LARGE, SHARDS)
    for i in range(LARGE_DOCUMENTS):
        node.ask("PUT", f"{LARGE}/_doc/{i}", {"text": "fox", "filler": "x" * 100_000})
    node.ask("POST", "_refresh")
    api = "_plugins/_security/api"
    for name, index in OWNERS.items():
        allowed = [{"index_patterns": [index, SHARED, LARGE], "allowed_actions": ["read"]}]
        if name == "mallory":
            allowed.append({"index_patterns": ["scratch"], "allowed_actions": ["crud", "create_index"]})
        # Of the callers only ada may see search pipelines.
        cluster = [*PER_CLUSTER, "cluster:admin/search/pipeline/get"] if name == "ada" else PER_CLUSTER
        node.ask("PUT", f"{api}/roles/{name}", {"index_permissions": allowed, "cluster_permissions": cluster})
        node.ask("PUT", f"{api}/rolesmapping/{name}", {"users": [name]})
    node.ask("DELETE", f"{api}/rolesmapping/own_index")  # it gives every account more than that
    return SecuredCluster(node, accounts)
