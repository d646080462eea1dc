"""The table of OpenSearch's REST routes that only read, as it declares them itself, and which of them are searches.

A route that is not in the table may write. Sources: the `routes()` of the REST handlers of 2.19.1, of its
modules, and of the plugins that are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kind of a request, for the proxy."""

    SEARCH = "search"
    MSEARCH = "msearch"
    TEMPLATE = "template"
    MSEARCH_TEMPLATE = "msearch-template"
    OURS = "ours"
    OTHER = "other"


class PassThrough(StrEnum):
    """The part of OpenSearch that can be reached through the proxy."""

    ALL = "all"
    READ_ONLY = "read-only"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Entry:
    """Methods and paths of the table, each with spaces between. `narrowest` is the narrowest mode that they pass in.

    In a path `{index}` stands for an index expression, `{name}` for what does not begin with `_` (so not for `_all`),
    and `{any}` for any segment; all else is literal.
    """

    methods: str
    paths: str
    narrowest: PassThrough = PassThrough.READ_ONLY
    kind: Kind = Kind.OTHER


TABLE = (
    Entry("GET POST", "/_search /{index}/_search", PassThrough.SEARCH, Kind.SEARCH),
    Entry("GET POST", "/_msearch /{index}/_msearch", PassThrough.SEARCH, Kind.MSEARCH),
    Entry("GET POST", "/_search/template /{index}/_search/template", PassThrough.SEARCH, Kind.TEMPLATE),
    Entry(
        "GET POST", "/_msearch/template /{index}/_msearch/template", PassThrough.SEARCH, Kind.MSEARCH_TEMPLATE
    ),
    Entry("GET POST", "/_count /{index}/_count", PassThrough.SEARCH),
    # A search that continues over several requests.
    Entry("GET POST DELETE", "/_search/scroll /_search/scroll/{name}"),
    Entry("POST", "/{index}/_search/point_in_time"),
    Entry("DELETE", "/_search/point_in_time"),
    Entry("GET", "/_search/point_in_time/_all"),
    Entry("POST", "/_plugins/_asynchronous_search"),
    Entry("GET", "/_plugins/_asynchronous_search/{any}"),
    # Documents, and other requests of search clients.
    Entry("GET HEAD", "/{index}/_doc/{any} /{index}/_source/{any}"),
    Entry("GET POST", "/_mget /{index}/_mget /{index}/_explain/{any} /_validate/query /{index}/_validate/query"),
    Entry("GET POST", "/{index}/_termvectors /{index}/_termvectors/{any} /_mtermvectors /{index}/_mtermvectors"),
    Entry("GET POST", "/_field_caps /{index}/_field_caps /_search_shards /{index}/_search_shards"),
    Entry("GET POST", "/_analyze /{index}/_analyze /_rank_eval /{index}/_rank_eval"),
    Entry("GET POST", "/_render/template /_render/template/{any}"),
    Entry("POST", "/_plugins/_sql /_plugins/_sql/_explain /_plugins/_sql/close /_plugins/_ppl /_plugins/_ppl/_explain"),
    # Indices, and how they are set up.
    Entry("GET HEAD", "/{index} /_alias/{any} /{index}/_alias /{index}/_alias/{any}"),
    Entry("GET", "/_alias /_aliases /_mapping /_mappings /{index}/_mapping /{index}/_mappings"),
    Entry("GET", "/_mapping/field/{any} /{index}/_mapping/field/{any}"),
    Entry("GET", "/_settings /_settings/{any} /{index}/_settings /{index}/_settings/{any} /{index}/_setting/{any}"),
    Entry("GET", "/_stats /_stats/{any} /{index}/_stats /{index}/_stats/{any} /_segments /{index}/_segments"),
    Entry("GET", "/_recovery /{index}/_recovery /_shard_stores /{index}/_shard_stores /_upgrade /{index}/_upgrade"),
    Entry("GET", "/_resolve/index/{any}"),
    Entry("GET", "/_data_stream /_data_stream/_stats /_data_stream/{any} /_data_stream/{any}/_stats"),
    Entry("GET HEAD", "/_template/{any} /_index_template/{any} /_component_template/{any}"),
    Entry("GET", "/_template /_index_template /_component_template"),
    Entry("POST", "/_index_template/_simulate /_index_template/_simulate/{any} /_index_template/_simulate_index/{any}"),
    Entry("GET", "/_ingest/pipeline /_ingest/pipeline/{any} /_ingest/processor/grok"),
    Entry("GET POST", "/_ingest/pipeline/_simulate /_ingest/pipeline/{any}/_simulate"),
    Entry("GET", "/_search/pipeline /_search/pipeline/{any} /_scripts/{any} /_script_context /_script_language"),
    # The cluster.
    Entry("GET HEAD", "/"),
    Entry("GET", "/_cat /_cat/{any} /_cat/{any}/{any} /_list /_list/{any} /_list/{any}/{any}"),
    Entry("GET", "/_cluster/health /_cluster/health/{any} /_cluster/settings /_cluster/pending_tasks"),
    Entry("GET", "/_cluster/state /_cluster/state/{any} /_cluster/state/{any}/{any}"),
    Entry("GET", "/_cluster/stats /_cluster/stats/nodes/{any} /_cluster/stats/{any}/nodes/{any}"),
    Entry("GET", "/_cluster/stats/{any}/{any}/nodes/{any} /_cluster/routing/awareness/{any}/weights"),
    Entry("GET", "/_cluster/decommission/awareness/{any}/_status"),
    Entry("GET POST", "/_cluster/allocation/explain"),
    Entry("GET", "/_nodes /_nodes/{any} /_nodes/{any}/{any} /_nodes/{any}/{any}/{any} /_nodes/{any}/stats/{any}/{any}"),
    Entry("GET", "/_tasks /_tasks/{any} /_remote/info /_remotestore/stats/{any} /_remotestore/stats/{any}/{any}"),
    Entry("GET", "/_snapshot /_snapshot/{any} /_snapshot/{any}/{any} /_snapshot/{any}/{any}/_status"),
    Entry("GET", "/_snapshot/{any}/{any}/{any}/_status"),
    # Plugins.
    Entry("GET", "/_plugins/_knn/stats /_plugins/_knn/stats/{any}"),
    Entry("GET", "/_plugins/_knn/models/{any} /_plugins/_neural/stats /_plugins/_neural/stats/{any}"),
    Entry("GET", "/_plugins/_ml/stats /_plugins/_ml/stats/{any}"),
    Entry("GET", "/_plugins/_ml/models/{any} /_plugins/_ml/model_groups/{any} /_plugins/_ml/connectors/{any}"),
    Entry("GET", "/_plugins/_ml/tasks/{any} /_plugins/_ml/profile /_plugins/_ml/profile/{any}"),
    Entry("GET POST", "/_plugins/_ml/models/_search /_plugins/_ml/model_groups/_search /_plugins/_ml/tasks/_search"),
    Entry("GET POST", "/_plugins/_ml/connectors/_search /_plugins/_knn/models/_search"),
    Entry("GET", "/_plugins/_ism/policies /_plugins/_ism/policies/{any}"),
    Entry("GET", "/_plugins/_ism/explain /_plugins/_ism/explain/{any}"),
    Entry("GET", "/_plugins/_security/authinfo /_plugins/_security/health /_plugins/_security/whoami"),
    Entry("GET", "/_plugins/_security/dashboardsinfo /_plugins/_security/tenantinfo /_plugins/_security/api/account"),
)  # fmt: skip
