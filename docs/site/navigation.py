"""The navigation of the site: every page of the checkout once, in reading order."""

from __future__ import annotations

START = "docs/index"

# Caption → pages, without `.md`.
PARTS = {
    "Tutorials": [
        "docs/tutorials/demo",
        "docs/tutorials/opensearch",
        "docs/tutorials/search-pipeline",
        "docs/tutorials/pyserini",
        "docs/tutorials/adapter",
        "docs/TRAINING",
        "docs/tutorials/gpu",
        "docs/tutorials/many-machines",
    ],
    "How to": [
        "docs/INSTALL",
        "docs/how-to/containers",
        "docs/how-to/sizing",
        "docs/how-to/window-and-fusion",
        "docs/how-to/min-relevance",
        "docs/how-to/spans",
        "docs/how-to/long-documents",
        "docs/how-to/several-adapters",
        "docs/how-to/several-devices",
        "docs/how-to/kubernetes",
        "docs/how-to/remote-scorers",
        "docs/how-to/listwise",
        "docs/how-to/search-pipeline",
        "docs/how-to/rollout",
        "docs/how-to/monitoring",
        "docs/how-to/security",
        "docs/INTEGRATIONS",
        "docs/SCALE",
        "docs/how-to/upgrades",
        "docs/how-to/troubleshooting",
        "docs/SWEEP",
        "docs/REPORTS",
    ],
    "Reference": [
        "docs/SERVICE",
        "docs/UI",
        "docs/COMMANDS",
        "docs/cli",
        "docs/settings",
        "docs/API",
        "docs/CONNECTORS",
        "docs/models",
        "docs/FILES",
        "docs/metrics",
        "docs/errors",
        "docs/PYTHON",
        "docs/python-api",
    ],
    "Explanation": [
        "docs/explanation/equal-scores",
        "docs/explanation/when-it-does-not-help",
        "docs/explanation/comparison",
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
