"""Settings of the frameworks, which they read when they are imported: no test sends anything to their makers."""

from __future__ import annotations

import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ["LANGSMITH_TRACING"] = "false"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
