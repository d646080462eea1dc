"""Paths and methods that would write, made of all the words that OpenSearch's routes are made of."""

from __future__ import annotations

import json

from tests.support.attack.raw_requests import Attempt, head, words

INDICES = words("""
    precious precious newindex newindex newindex,precious _all * p* %70recious <new-{now%2Fd}> -x,precious
""")
READING = words("""
    _search _msearch _count _mget _explain _field_caps _termvectors _validate/query _search/template
    _msearch/template _search/scroll _search/point_in_time _rank_eval _analyze _search_shards _knn_search
    _percolate _sql _ppl _source _stats
""")
WRITING = words("""
    _doc _create _update _bulk _update_by_query _delete_by_query _close _open _settings _mapping _mappings
    _alias _aliases _rollover _shrink _split _clone _block _freeze _delete_by_query/_search _doc/_search
    _create/_msearch _update/_search _update/_count _bulk/_search
""")
OF_CLUSTER = words("""
    _bulk _reindex _aliases _scripts/_search _scripts/x _search/pipeline/x _ingest/pipeline/x
    _ingest/pipeline/_search _index_template/x _index_template/_search _template/_count _component_template/x
    _cluster/settings _cluster/reroute _snapshot/_search _snapshot/r/_search
    _plugins/_security/api/internalusers/_search _plugins/_security/api/roles/_count
    _opendistro/_security/api/internalusers/eve _plugins/_ml/models/_register _tasks/_cancel
    _plugins/_ml/model_groups/_register _data_stream/_search _data_stream/x _cluster/voting_config_exclusions
    _plugins/_ml/connectors/_create _plugins/_ml/models/_search _wlm/query_group/_search
""")
ENDS = words("""
    / // /_search /_search/ /_count /_msearch ?x=/_search ;/_search /../_search /%5Fsearch /_search%2F
    /_search%00 /1 /1/_search /_search?scroll=1m /_search/scroll #/_search /./_count %2F_search
    /_search/template
""")
BODIES = [
    {}, {"text": "fox"}, {"query": {"match_all": {}}}, {"doc": {"text": "x"}, "doc_as_upsert": True},
    {"script": "ctx._source.text = 'x'", "query": {"match_all": {}}}, {"password": "kuPf3r-Atna-9:x"},
    {"source": {"index": "precious"}, "dest": {"index": "newindex"}}, {"index_patterns": ["p*"]}, {"processors": []},
    {"actions": [{"remove_index": {"index": "precious"}}]}, {"persistent": {"action.auto_create_index": "false"}},
    {"script": {"lang": "painless", "source": "1"}}, {"type": "fs", "settings": {"location": "x"}},
    {"request_processors": []}, {"query": "SELECT * FROM precious"}, {"properties": {"new": {"type": "keyword"}}},
]  # fmt: skip
LINES = '{"index":{"_index":"precious"}}\n{"text":"x"}\n{"delete":{"_index":"precious","_id":"1"}}\n'


def writing_path(chance):
    """A request that may write, without an account of its own."""
    if chance.random() < 0.25:
        path = chance.choice(OF_CLUSTER)
    else:
        # Most look like a search at their end, for that is what passes.
        middle = chance.choices(
            [*WRITING, *READING, "1", *(["_doc", "_create", "_update", "_bulk"] * 8)], k=chance.choice([0, 1, 1, 1, 2])
        )
        last = chance.choice(["_search", "_search", "_msearch", "_count", chance.choice([*WRITING, *READING])])
        path = "/".join([chance.choice(INDICES), *middle, last])
    if chance.random() < 0.1:
        path = chance.choice(["/", "./", "_search/../", "%2e%2e/", "http://x/"]) + path
    target = f"/{path}" + chance.choice(["", chance.choice(ENDS)])
    method = chance.choice(["POST"] * 6 + ["PUT", "DELETE", "GET", "PATCH", "HEAD", "Post", "OPTIONS"])
    # A plain DELETE of the index would be a right answer of `all`; here nothing of the kind may pass.
    body = chance.choice([LINES, '{"text": "fox"}', "{}", *([json.dumps(chance.choice(BODIES))] * 3)]).encode()
    headers = [("Host", "x"), ("Content-Type", chance.choice(["application/json", "application/x-ndjson"]))]
    if chance.random() < 0.2:
        headers.append(("X-HTTP-Method-Override", chance.choice(["PUT", "DELETE"])))
    return Attempt([head(method, target, [*headers, ("Content-Length", len(body))]) + body])
