"""Installs what the running Python lacks, and nothing else: `python tools/install.py` (called by `make setup`).

A torch, Dassl.pytorch or CLIP that is there stays as it is: pip gets the installed versions as constraints.
"""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]
sys.path.insert(0, str(ROOT))
from setup import DEVELOPMENT, REQUIRED  # noqa: E402

KEEP = ("torch", "torchvision", "numpy", "pillow", "dassl", "clip", "clip-anytorch", "scipy", "scikit-learn")
IMPORTS = {  # where the module is called otherwise than the package
    "clip-anytorch": "clip", "pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn", "setuptools": "pkg_resources"
}  # fmt: skip
TORCH = ("torch", "torchvision")


def package(requirement: str) -> str:
    return re.split(r"[<>=~!\[; ]", requirement, maxsplit=1)[0].lower()


def present(requirement: str) -> bool:
    """Whether the module can be found, whichever package brought it (OpenAI's `clip` for `clip-anytorch`)."""
    name = package(requirement)
    return importlib.util.find_spec(IMPORTS.get(name, name.replace("-", "_"))) is not None


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments], check=True)


def constraints() -> str:
    """Lines "name==version" of what must not be replaced."""
    lines = []
    for name in KEEP:
        try:
            lines.append(f"{name}=={metadata.version(name).split('+')[0]}")
        except metadata.PackageNotFoundError:
            continue
    return "\n".join(lines) + "\n"


def stale_toolbox() -> bool:
    """Whether toolbox/, our stand-in for Dassl, is installed, but not as it is in this checkout."""
    spec = importlib.util.find_spec("dassl")
    installed = Path(spec.origin).parent if spec and spec.origin else ROOT
    if not list(installed.parent.glob("dassl-*+upt.dist-info")):  # Dassl.pytorch, or none
        return False
    there = {path.relative_to(ROOT / "toolbox"): path for path in (ROOT / "toolbox/dassl").rglob("*.py")}
    copies = {name: installed.parent / name for name in there}
    return any(not copies[n].is_file() or copies[n].read_bytes() != there[n].read_bytes() for n in there)


def main() -> None:
    wanted = [*REQUIRED, *DEVELOPMENT]
    torch_parts = [r for r in wanted if package(r) in TORCH]
    if not all(map(present, torch_parts)):
        if present("torch") and not present("torchvision"):
            sys.exit("error: this environment has torch but no torchvision: install the one that fits your torch")
        pip(*os.environ.get("UPT_TORCH", " ".join(torch_parts)).split())
    missing = [r for r in wanted if r not in torch_parts and not present(r)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
        file.write(constraints())
    try:
        if missing:
            pip("--constraint", file.name, *missing)
        if importlib.util.find_spec("dassl") is None or stale_toolbox():
            pip("--no-deps", "--force-reinstall", str(ROOT / "toolbox"))
    finally:
        os.unlink(file.name)


if __name__ == "__main__":
    main()
