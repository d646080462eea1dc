"""A real Elasticsearch node, for tests on loopback only: its server from Maven Central, and an HTTP port of our own.

Maven Central has none of its modules, so there are no analysers of languages, no scripts, no security, and no answer to
`GET /` but ours. All other answers are those of Elasticsearch.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.live.java_node import JVM_OPTIONS, JavaNode, write_config
from tests.support.live.node_home import NoNode, made_once
from tests.support.live.opensearch_home import jdk

VERSIONS = ("8.19.7", "9.2.1")
HERE = Path(__file__).parent / "elasticsearch"
RECIPE = (*sorted(HERE.iterdir()), Path(__file__))
DESCRIPTOR = """\
name=java-http
description=java-http
version={version}
elasticsearch.version={version}
java.version=17
classname=JavaHttpPlugin
has.native.controller=false
"""


class ElasticsearchNode(JavaNode):
    """A running node of Elasticsearch: `with ElasticsearchNode(home, folder) as node: node.url`."""

    def __init__(self, home: Path, folder: Path) -> None:
        config = folder / "config"
        write_config(config, "elasticsearch.yml", {"http.type": "java", "transport.type": "none"})
        command = [
            _java() / "bin/java", "-Xms512m", "-Xmx512m", *JVM_OPTIONS,
            f"-Dlog4j.configurationFile={config}/log4j2.properties",
            f"-Des.path.home={home}", f"-Des.path.conf={config}", "-cp", f"{home}/lib/*",
            HERE / "EsNode.java", home, config,
        ]  # fmt: skip
        super().__init__(command, folder)


def build(home: Path, version: str) -> Path:
    """Lay a home out, or take the one that is there if it was made by this very recipe. Raises `NoNode`."""
    return made_once(home, RECIPE, lambda made: _lay_out(made, version), tools={"mvn": "Maven (mvn)"})


def _java() -> Path:
    return jdk("3")  # both versions run on what OpenSearch 3 runs on


def _lay_out(home: Path, version: str) -> None:
    module, classes = home / "modules" / "java-http", home / "classes"
    for folder in (home / "plugins", home / "config", module, classes):
        folder.mkdir(parents=True)
    maven = ["mvn", "-q", "-B", "-f", HERE / "pom.xml", "dependency:copy-dependencies", "-DincludeScope=runtime"]
    _run([*maven, f"-Delasticsearch.version={version}", f"-DoutputDirectory={home / 'lib'}"])
    tools = _java() / "bin"
    _run([tools / "javac", "-nowarn", "-cp", f"{home}/lib/*", "-d", classes, HERE / "JavaHttpPlugin.java"])
    _run([tools / "jar", "cf", module / "java-http.jar", "-C", classes, "."])
    (module / "plugin-descriptor.properties").write_text(DESCRIPTOR.format(version=version))
    shutil.rmtree(classes)


def _run(command: list[object]) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNode(f"no Elasticsearch node: {(done.stdout + done.stderr).strip()[-500:]}")
