"""The fields by which a command searches an index of OpenSearch: those of the settings, if the index has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.cli.terminal import say
from sidecar.core.documents import PassageFields
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

_NOTHING = "the index has no text field"
_CHOOSE = "Set --text-fields or SIDECAR_TEXT_FIELDS to choose."


def fields_to_search(client: OpenSearch, index: str, settings: Settings) -> PassageFields:
    """Find the title and text fields to search an index by.

    Without a choice of one's own, an index that has none of the default text fields is searched by the text fields of
    its mapping. Raises `ConfigurationError` where the index has none of the fields, or an `EngineError`.
    """
    from connectors.opensearch.admin.index_mapping import reading_of

    fields = settings.as_fields()
    found = reading_of(client, index, fields)
    if found.refusal or not found.is_mapped:
        raise ConfigurationError(f"{found.refusal or found.warning or _NOTHING}.", remedy=_CHOOSE)
    names = dict.fromkeys(name for one in (*found.by_index.values(), fields) for name in one.text)
    return PassageFields(fields.title, tuple(names), fields.join)


class FieldWarnings:
    """Prints the warnings of searches about the fields that were read, each of them once."""

    def __init__(self) -> None:
        self._said = {""}

    def __call__(self, warning: str) -> None:
        """Print a warning, unless it was printed before."""
        if warning not in self._said:
            self._said.add(warning)
            say(f"{warning}. {_CHOOSE}")
