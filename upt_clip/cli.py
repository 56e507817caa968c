"""How every command line ends: what a user can put right is one line and exit status 2, never a traceback."""

import argparse
import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from .messages import one_line

USER_ERROR = 2  # the exit status that says: you must change something
DEBUG_HINT = " (--debug shows where)"  # behind errors of train.py, which has that option
PIP = {
    "PIL": "Pillow",
    "clip": "clip-anytorch",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}  # by module, where it differs
KEY = re.compile(r"[A-Z][A-Z0-9_]*([._][A-Z0-9_]+)+")  # a config key such as OPTIM.LR or USE_CUDA


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are raised, to end as all errors do, without the usage of all options.

    `about` is shown as it is written, the module's docstring.
    """

    def __init__(self, command: str, about: str | None, **more):
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(**{"prog": f"upt-clip {command}", "description": about, "formatter_class": form, **more})

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; -h lists all options")


def config_keys(words: list[str]) -> tuple[list[str], list[str]]:
    """The other words, and the config keys with their values, which an option with several words must not swallow."""
    rest: list[str] = []
    pairs: list[str] = []
    while words:
        n = 2 if KEY.fullmatch(words[0]) else 1
        (pairs if n == 2 else rest).extend(words[:n])
        words = words[n:]
    return rest, pairs


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
    except ImportError as error:
        package = error.name or ""
        if debug or "." in package or (package and not isinstance(error, ModuleNotFoundError)):
            raise  # a module or a name is missing in a package that is there: nobody can install it
        missing = f"the package {package} is missing: pip install {PIP.get(package, package)}"
        print(f"error: {missing if package else one_line(error)}{hint}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print(f"\n{stopped}", file=sys.stderr)
        return 130
