"""Renders a report as one HTML page that needs no other file, no network and no script."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from sidecar.report.report import Report
from sidecar.report.tables import making, means, overlaps, pairs, windows
from sidecar.version import __version__


def page(report: Report) -> str:
    """Return the page: the same bytes for the same report.

    All text of runs, topics and passages is escaped. The page's Content-Security-Policy allows no script, no image and
    no request, and no style but the page's own.
    """
    environment = Environment(
        loader=PackageLoader("sidecar.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = files("sidecar.report")
    style = "\n" + "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "figure.css"))
    checksum = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html.jinja").render(
        report=report,
        style=style,
        policy=f"default-src 'none'; style-src 'sha256-{checksum}'; base-uri 'none'; form-action 'none'",
        means=means(report) if report.evaluations else None,
        pairs=[pairs(report, measure) for measure in report.measures] if report.pairs else [],
        windows=windows(report) if report.windows else None,
        overlaps=overlaps(report),
        making=making(report),
        version=__version__,
    )
