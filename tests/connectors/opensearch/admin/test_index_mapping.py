"""The text fields that a mapping names."""

from __future__ import annotations

from connectors.opensearch.admin.index_mapping import fields_in


def test_text_fields_by_dotted_path():
    mapping = {
        "properties": {
            "headline": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
            "pages": {"type": "integer"},
            "body": {"properties": {"html": {"type": "text"}, "vector": {"type": "knn_vector"}}},
            "parts": {"type": "nested", "properties": {"text": {"type": "match_only_text"}}},
            "tag": {"type": "keyword"},
        }
    }
    assert list(fields_in(mapping)) == ["headline", "body.html", "parts.text", "tag"]
    assert list(fields_in({})) == []
