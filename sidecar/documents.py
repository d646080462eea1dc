"""The place of `PassageFields` in documented examples up to now; `from sidecar import PassageFields` is the new one."""

from sidecar.core.documents import PassageFields

__all__ = ["PassageFields"]
