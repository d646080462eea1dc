"""The navigation of the site: every page of the checkout once, in reading order."""

from __future__ import annotations

START = "docs/index"

# Caption → pages, without `.md`.
PARTS = {
    "Tutorials": [
        "docs/TRAINING",
    ],
    "How to": [
        "docs/INSTALL",
        "docs/SERVICE",
    ],
    "Reference": [
        "docs/COMMANDS",
        "docs/cli",
        "docs/settings",
        "docs/API",
        "docs/CONNECTORS",
        "docs/models",
        "docs/FILES",
        "docs/metrics",
        "docs/PYTHON",
    ],
    "Explanation": [
        "ARCHITECTURE",
        "docs/RELIABILITY",
        "docs/PERFORMANCE",
        "docs/EXPERIMENTS",
    ],
    "Project": [
        "README",
        "CHANGELOG",
        "CONTRIBUTING",
        "CODE_OF_CONDUCT",
        "SECURITY",
    ],
}
