"""How every command line ends: what a user can put right is one line and exit status 2, never a traceback."""

import argparse
import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn

USER_ERROR = 2  # the exit status that says: you must change something
LONGEST = 1000  # characters of an error; a class name or an entry of a file can be of any length


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are raised, to end as all errors do, without the usage of all options."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; -h lists all options")


def run(main: Callable[[], int | None], stopped: str = "Stopped") -> NoReturn:
    """Ends the process with the exit status of `main`; `stopped` is said after Ctrl-C."""
    sys.exit(status(main, stopped))


def status(main: Callable[[], int | None], stopped: str = "Stopped", hint: str = "", debug: bool = False) -> int:
    """The exit status of `main`. `hint` stands behind an error; with `debug` the error is raised."""
    try:
        return main() or 0
    except BrokenPipeError:  # the reader has left, as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError, FloatingPointError) as error:
        if debug:
            raise
        print(f"error: {one_line(error)}{hint}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print(f"\n{stopped}", file=sys.stderr)
        return 130


def one_line(error: BaseException) -> str:
    """The message in one line of at most about `LONGEST` characters, or the error's name if it has none."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if "Original Traceback" in text:  # a worker process wraps its error in its traceback, whose last line is the error
        text = re.sub(r"^[\w.]+: ", "", text.strip().splitlines()[-1])
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
