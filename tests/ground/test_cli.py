"""How tools end."""

import subprocess
import sys

import pytest

from upt_clip import __main__, cli


@pytest.mark.parametrize("error", [ValueError("x is 1, choose 2"), FileNotFoundError("x is 1, choose 2")])
def test_what_a_user_can_put_right_is_one_line_and_status_2(error, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        cli.run(main)
    assert end.value.code == 2 and capsys.readouterr().err == "error: x is 1, choose 2\n"


def test_a_defect_of_ours_keeps_its_traceback():
    def main():
        raise KeyError("x")

    with pytest.raises(KeyError):
        cli.run(main)


@pytest.mark.parametrize(("result", "status"), [(0, 0), (1, 1), (None, 0)])
def test_the_status_of_main_is_that_of_the_process(result, status):
    with pytest.raises(SystemExit) as end:
        cli.run(lambda: result)
    assert (end.value.code or 0) == status


def test_ctrl_c_says_how_to_go_on(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        cli.run(main, stopped="start it again")
    assert end.value.code == 130 and "start it again" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error():
    code = "from upt_clip import cli; cli.run(lambda: [print('x' * 99) for _ in range(99999)] and 0)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 141


@pytest.mark.parametrize("command", __main__.COMMANDS)
def test_an_unknown_option_is_an_error_to_be_told_in_one_line(command, capsys):
    assert __main__.main([command, "--no-such-option"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("error: ") and "-h lists all" in said[0]
