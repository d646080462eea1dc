"""A real OpenSearch node: `opensearch_home.build` makes a home once, some 55 MB; `Node` runs it.

It has a config, data and logs of its own. Plugins are the business of `opensearch_plugins.py`.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.live import opensearch_plugins
from tests.support.live.java_node import JVM_OPTIONS, JavaNode, write_config
from tests.support.live.opensearch_home import HERE, jdk


class Node(JavaNode):
    """A running node of OpenSearch: `with Node(home, version, folder) as node: node.url`."""

    def __init__(self, home: Path, version: str, folder: Path, *, heap: str = "512m", timeout: float = 180) -> None:
        java, config = jdk(version), folder / "config"
        config.mkdir(parents=True)
        settings, login = opensearch_plugins.configure(home, config)
        write_config(config, "opensearch.yml", settings)
        command = [
            java / "bin/java", f"-Xms{heap}", f"-Xmx{heap}", *JVM_OPTIONS, "-Dlog4j.shutdownHookEnabled=false",
            "-Dio.netty.noUnsafe=true", "-Dio.netty.allocator.numDirectArenas=0",
            f"-Dlog4j.configurationFile={config}/log4j2.properties", f"-Dopensearch.path.home={home}",
            f"-Dopensearch.path.conf={config}", "-cp", f"{home}/lib/*", HERE / "OsNode.java", home, config,
        ]  # fmt: skip
        super().__init__(command, folder, login=login, timeout=timeout)
