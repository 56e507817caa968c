import gc
import os
import re
import subprocess
import sys

import pytest
from dassl.utils import setup_logger

from upt_clip import dassl_compat

bundled_only = pytest.mark.skipif(not dassl_compat.is_bundled(), reason="a known defect of Dassl.pytorch")


@pytest.fixture
def stdout():
    """Put standard output back after the test."""
    before = sys.stdout
    yield before
    sys.stdout = before


SCRIPT = """
import upt_clip
import sys
from dassl.utils import setup_logger

for output in (sys.argv[1], sys.argv[1], sys.argv[1] + "/mine.log"):
    setup_logger(output)
    print("to " + output)
    sys.stdout.flush()
"""


def test_output_goes_to_both_and_an_old_log_is_kept(tmp_path):
    # In a process of its own, since Dassl.pytorch's logger closes the console in the end.
    process = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True)
    assert process.stdout == f"to {tmp_path}\n" * 2 + f"to {tmp_path}/mine.log\n"
    older, newer, named = sorted(os.listdir(tmp_path))
    assert (older, named) == ("log.txt", "mine.log")
    assert re.fullmatch(r"log\.txt-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d", newer)
    assert (tmp_path / older).read_text().startswith(f"to {tmp_path}\n")
    assert (tmp_path / named).read_text() == f"to {tmp_path}/mine.log\n"


def test_no_output_no_logger(stdout):
    setup_logger(None)
    assert sys.stdout is stdout


@bundled_only
def test_a_killed_run_keeps_its_log(tmp_path, stdout):
    setup_logger(str(tmp_path))
    print("last words")
    assert (tmp_path / "log.txt").read_text() == "last words\n"  # already, without a flush or a close


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
def test_console_stays_open_when_the_logger_is_forgotten(tmp_path, stdout):
    setup_logger(str(tmp_path))
    sys.stdout = stdout
    gc.collect()
    print("alive")
