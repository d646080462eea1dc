"""Explain to users of PyTerrier why it can't start Java in a process in which a Lucene index is open.

The package registers `ExplainRunningJvm` under the entry point `pyterrier.java.init`. PyTerrier calls it before it
configures the JVM; PyTerrier's own error is a stack of calls from the first start.
"""

from __future__ import annotations

from typing import Any

from sidecar.core.errors import JavaError

TWO_PROCESSES = (
    "Use one process for each: write one's results as a run (`sidecar run --output run.trec`, or "
    "pt.io.write_results), and read it in the other (pt.Transformer.from_df(pt.io.read_results('run.trec')), or "
    "`sidecar rerank --run`)."
)


class ExplainRunningJvm:
    """An initializer of PyTerrier that raises `JavaError` if the JVM already runs; otherwise it does nothing."""

    def priority(self) -> int:
        """Return a number below those of PyTerrier's own initializers, which therefore run later."""
        return -1000

    def condition(self) -> bool:
        """Return whether the JVM of this process runs already."""
        import jnius_config

        return bool(jnius_config.vm_running)

    def pre_init(self, configuration: Any) -> None:
        """Raise `JavaError`."""
        del configuration
        raise JavaError(
            "The JVM of this process already runs, with Anserini's jar for Lucene, so PyTerrier can't add Terrier's.",
            remedy=TWO_PROCESSES,
        )
