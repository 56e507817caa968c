import dassl_compat  # noqa: I001

import os
import re
import subprocess
import sys

import pytest
from dassl.utils import setup_logger

bundled_only = pytest.mark.skipif(not dassl_compat.is_bundled(), reason="a known defect of Dassl.pytorch")


@pytest.fixture
def stdout():
    """Put standard output back after the test."""
    before = sys.stdout
    yield before
    sys.stdout = before


def run(code, *args):
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True)


SCRIPT = """
import sys, dassl_compat
from dassl.utils import setup_logger
setup_logger(sys.argv[1])
print("first"); print("second")
sys.stdout.flush()
"""


def test_output_goes_to_both_and_an_old_log_is_kept(tmp_path):
    for _ in range(2):
        assert run(SCRIPT, tmp_path / "out").stdout == "first\nsecond\n"
    older, newer = sorted(os.listdir(tmp_path / "out"))
    assert older == "log.txt"
    assert re.fullmatch(r"log\.txt-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d", newer)
    for name in (older, newer):
        assert (tmp_path / "out" / name).read_text() == "first\nsecond\n"


def test_a_file_name_is_taken_as_it_is(tmp_path):
    run(SCRIPT, tmp_path / "mine.log")
    assert (tmp_path / "mine.log").read_text() == "first\nsecond\n"


def test_no_output_no_logger(stdout):
    setup_logger(None)
    assert sys.stdout is stdout


@bundled_only
def test_a_killed_run_keeps_its_log(tmp_path):
    run(SCRIPT.replace("sys.stdout.flush()", "import os; os._exit(9)"), tmp_path)
    assert (tmp_path / "log.txt").read_text() == "first\nsecond\n"


@bundled_only
def test_it_behaves_as_a_stream_and_gives_the_console_back(tmp_path, stdout):
    setup_logger(str(tmp_path / "a"))
    assert sys.stdout.isatty() == stdout.isatty()
    assert sys.stdout.encoding == stdout.encoding
    assert sys.stdout.write("abc\n") == 4
    setup_logger(str(tmp_path / "b"))
    print("to b")
    sys.stdout.close()
    assert sys.stdout is stdout
    assert not stdout.closed
    assert (tmp_path / "a/log.txt").read_text() == "abc\n"
    assert (tmp_path / "b/log.txt").read_text() == "to b\n"


@bundled_only
def test_bare_file_name(tmp_path, stdout, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setup_logger("run.txt")
    print("hello")
    sys.stdout.close()
    assert (tmp_path / "run.txt").read_text() == "hello\n"


@bundled_only
def test_console_stays_open_when_the_logger_is_forgotten(tmp_path):
    code = SCRIPT + "console = sys.stdout.console; sys.stdout = console\nimport gc; gc.collect(); print('alive')"
    assert run(code, tmp_path).stdout.endswith("alive\n")
