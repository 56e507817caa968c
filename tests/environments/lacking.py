"""Processes in which some packages cannot be found, whether or not they are installed here."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Python imports this by itself at its start, in the process's children, too.
SITE = """
import sys
LACKING = {lacking!r}
class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, *more):
        return None if name.split(".")[0] in LACKING else self.finder.find_spec(name, *more)
sys.meta_path[:] = map(Without, sys.meta_path)
assert not set(LACKING) & set(sys.modules)
{more}
"""


def run(folder: Path, *words, lacking: tuple[str, ...] = (), more: str = "", **environment):
    """What `python *words` says and how it ends.

    Args:
        folder: an empty one, which comes first in the import path.
        lacking: the packages that cannot be found.
        more: code that each process runs before its own.
    """
    (folder / "sitecustomize.py").write_text(SITE.format(lacking=lacking, more=more))
    path = os.pathsep.join(filter(None, [str(folder), str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def upt_clip(folder: Path, *words, **options):
    return run(folder, "-m", "upt_clip", *words, **options)
