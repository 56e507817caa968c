"""A Chromium for the tests of pages: `python -m tests.browser` installs one where none is found, and prints its path.

As root on Debian or Ubuntu that is Debian's package, elsewhere the build that playwright downloads.
"""

import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

from upt_clip import cli

VARIABLE = "UPT_CHROMIUM"  # path of the browser to use
COMMANDS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
PACKAGES = ("chromium-headless-shell", "chromium")  # the first is smaller, older systems have the second alone
HINT = f"run `python -m tests.browser` (in the project's folder), or set {VARIABLE} to a Chromium"


def find() -> str | None:
    """Path of a Chromium: $UPT_CHROMIUM, one on the PATH, or the one that playwright downloaded; None without any.

    Raises:
        FileNotFoundError: $UPT_CHROMIUM names no file.
    """
    if chosen := os.environ.get(VARIABLE):
        if not Path(chosen).is_file():
            raise FileNotFoundError(f"{VARIABLE} is {chosen}, which is no file: unset it or give a Chromium's path")
        return chosen
    on_path = (shutil.which(command) for command in COMMANDS)
    there = (place() for place in (_of_system, _of_playwright))  # asked only if the PATH has none
    return next((path for path in chain(on_path, there) if path), None)


def install() -> str:
    """Installs a Chromium unless one is found; returns its path.

    Raises:
        FileNotFoundError: nothing that was tried gave one.
    """
    if path := find():
        return path
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        _try("apt-get", "update", "-q")
        for package in PACKAGES:
            _try("apt-get", "install", "-y", "-q", "--no-install-recommends", package)
            if path := find():
                return path
    _try(sys.executable, "-m", "playwright", "install", "chromium")
    if path := find():
        return path
    raise FileNotFoundError(f"no Chromium could be installed: install one by hand, or set {VARIABLE} to its path")


def _of_system() -> str | None:
    return next((place for place in PLACES if Path(place).is_file()), None)


def _of_playwright() -> str | None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


def _try(*command: str) -> None:
    """What the command did is told by whether a browser is found after it."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, env=environment, stdout=sys.stderr, check=False)


if __name__ == "__main__":
    cli.run(lambda: print(install()))
