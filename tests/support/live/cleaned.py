"""Leaves a node as it was before a module of tests, so that several modules can use one node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.live.opensearch_node import Node

SECURITY = "_plugins/_security/api"
ACCOUNTS = ("internalusers", "roles", "rolesmapping")


@contextmanager
def cleaned(node: Node) -> Iterator[None]:
    """Remove the indices, search pipelines, settings and accounts that the block made, and restore what it removed.

    Connectors and models of ML Commons stay: nothing uses them without a search pipeline.
    """
    before = _accounts(node)
    yield
    # Settings go first: one of them may refuse what follows.
    node.ask("PUT", "_cluster/settings", {scope: {"*": None} for scope in ("persistent", "transient")})
    own = [name for name in node.ask("GET", "_cluster/state/metadata")["metadata"]["indices"] if name[0] != "."]
    # Audit logs are the plugin's own.
    for name in (name for name in own if not name.startswith("security-auditlog")):
        node.ask("DELETE", name)
    node.ask("DELETE", "_search/pipeline/*")
    _restore(node, before)


def _accounts(node: Node) -> dict[str, dict[str, object]]:
    if node.login is None:
        return {}
    return {kind: node.ask("GET", f"{SECURITY}/{kind}") for kind in ACCOUNTS}


def _restore(node: Node, before: dict[str, dict[str, object]]) -> None:
    for kind, entries in before.items():
        now = node.ask("GET", f"{SECURITY}/{kind}")
        for name in now.keys() - entries.keys():
            node.ask("DELETE", f"{SECURITY}/{kind}/{name}")
        for name, entry in entries.items():
            if now.get(name) != entry:
                fields = {
                    field: value for field, value in entry.items() if field not in {"hidden", "reserved", "static"}
                }
                node.ask("PUT", f"{SECURITY}/{kind}/{name}", fields)
