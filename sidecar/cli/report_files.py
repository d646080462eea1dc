"""Writes a report: the page, the tables beside it, and its figures as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.cli.factories import digest
from sidecar.cli.long_run import keep_finished
from sidecar.cli.progress import working
from sidecar.cli.terminal import say
from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from sidecar.report.report import Report, Request

# What replaces the suffix of the page in the names of the files beside it.
BESIDE = (".md", ".tex", ".csv", ".by-query.csv", ".pairs.csv")


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files of a report: the page, and a folder for the figures if they are wanted as files."""

    page: Path
    figures: Path | None = None

    def check(self, *, force: bool) -> None:
        """Raise `ConfigurationError` if the page has another suffix, or a file exists already without `force`."""
        if self.page.suffix not in {".html", ".htm"}:
            raise ConfigurationError(f"{self.page} is no name of a page.", remedy="It ends in .html.")
        keep_finished(self.page, *(self.page.with_suffix(suffix) for suffix in BESIDE), force=force)

    def write(self, request: Request, inputs: Sequence[tuple[str, Path]]) -> Report:
        """Compute a report, write it and return it; the page is written last. `inputs` are the files by part."""
        from sidecar.report.page import page
        from sidecar.report.report import Source, make_report
        from sidecar.report.tables import files

        with working("computing checksums of the input"):
            sources = [Source(part, path.name, digest(path)) for part, path in inputs]
        with working("computing the report"):
            report = make_report(request, sources)
            content, tables = page(report), files(report)
        for suffix in BESIDE:
            beside = self.page.with_suffix(suffix)
            if suffix in tables:
                _write(beside, tables[suffix])
            else:
                beside.unlink(missing_ok=True)  # of a report that this one replaces
        self._write_figures(report)
        _write(self.page, content)
        for position, run in enumerate(report.runs):
            for fact in report.facts(position):
                say(f"{run.name}: {fact}")
        say(f"{len(report.runs)} runs → {self.page} ({len(content.encode()) / 1000:.0f} kB), {self._named(tables)}")
        return report

    def _write_figures(self, report: Report) -> None:
        if self.figures is None:
            return
        try:
            self.figures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"can't make the folder {self.figures}: {error.strerror}.") from None
        for figure in report.all_figures:
            _write(self.figures / f"{figure.name}.svg", figure.as_file())

    def _named(self, tables: dict[str, str]) -> str:
        names = ", ".join(self.page.with_suffix(suffix).name for suffix in BESIDE if suffix in tables)
        return names + (f", figures in {self.figures}" if self.figures else "")


def _write(path: Path, content: str) -> None:
    with atomic_write(path) as stream:
        stream.write(content)
