"""The package `upt_clip` with the command `upt-clip`. Its parts stand at the top of the checkout, as CoOp's users know
them; here they are put below the one name.

`dassl` is no requirement: Dassl.pytorch is not on PyPI, and toolbox/, which is part of the package, takes its place.
"""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
PARTS = ("trainers", "datasets", "tools")
DATA = ("assets", "configs")
VERSION = re.search(r'__version__ = "(.+?)"', (ROOT / "upt_clip/__init__.py").read_text(encoding="utf-8"))[1]
REPOSITORY = os.environ.get("UPT_REPOSITORY", "").rstrip("/")  # its address, for a release
README = re.sub(r'<img src="(.+?)".* alt="(.+?)">', r"![\2](\1)", (ROOT / "README.md").read_text(encoding="utf-8"))

NUMBERS = ["numpy", "Pillow>=9.1", "pyyaml", "safetensors>=0.4", "tabulate>=0.9", "tqdm>=4.60", "yacs>=0.1.8"]
# an environment may have OpenAI's own `clip` under the same name, which `make setup` leaves alone
CLIP = [] if os.environ.get("UPT_KEEP_CLIP") else ["clip-anytorch>=2.5"]
TOOLBOX = ["joblib>=1.2", "packaging", "scikit-learn>=1.2", "scipy>=1.9", "tensorboard>=2.10"]
PICTURES = ["jinja2>=3.1", "matplotlib>=3.7"]  # the commands plot, report, attention, variance --plot
EXPORT = ["onnx>=1.14", "onnxruntime>=1.16"]  # export
CLUSTER = ["submitit>=1.5"]  # reproduce --launcher slurm
FUZZ = ["atheris>=2.3"]  # make fuzz
DEVELOPMENT = ["pytest>=7.4", "ruff~=0.17.0", "hypothesis>=6", "playwright>=1.40", "mypy>=1.11", "build>=1.0"]


def below(folder: str) -> list[str]:
    """The folder and all below it, as dotted names."""
    folders = [ROOT / folder, *(path for path in (ROOT / folder).rglob("*") if path.is_dir())]
    names = [path.relative_to(ROOT).as_posix().replace("/", ".") for path in folders]
    return [f"upt_clip.{name}" for name in names if "__pycache__" not in name]


setup(
    name="upt-clip",
    version=VERSION,
    description="Unified Prompt Tuning (arXiv 2210.07225) for CLIP, beside CoOp and VPT, as a Dassl plug-in",
    # off the repository, links to its files lead to its address, or are no links
    long_description=re.sub(
        r"!?\[([^]]*)\]\((?!https?:|#)([^)]+)\)", rf"[\1]({REPOSITORY}/blob/main/\2)" if REPOSITORY else r"\1", README
    ),
    long_description_content_type="text/markdown",
    author="UPT developers",
    license="MIT",
    project_urls={"Paper": "https://arxiv.org/abs/2210.07225", **({"Source": REPOSITORY} if REPOSITORY else {})},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    keywords=["CLIP", "prompt learning", "few-shot", "CoOp", "VPT", "UPT", "Dassl"],
    python_requires=">=3.10",
    install_requires=["torch>=2.1", "torchvision>=0.16", *CLIP, *NUMBERS, *TOOLBOX, *PICTURES],
    extras_require={"slurm": CLUSTER, "export": EXPORT, "fuzz": FUZZ, "dev": DEVELOPMENT},
    entry_points={"console_scripts": ["upt-clip = upt_clip.__main__:main"]},
    packages=[
        "upt_clip",
        *(f"upt_clip.{part}{dot}" for part in PARTS for dot in ("", *(f".{p}" for p in find_packages(part)))),
        *(f"upt_clip.toolbox.{name}" for name in find_packages("toolbox")),
        *(name for folder in (*DATA, "tools/tables/published") for name in below(folder)),
    ],
    package_dir={**{f"upt_clip.{part}": part for part in (*PARTS, *DATA)}, "upt_clip.toolbox": "toolbox"},
    package_data={
        "": ["*.yaml", "*.csv", "*.json", "*.md", "*.png", "*.txt", "*.pt", "*.html", "*.css"],
        "upt_clip.assets.licenses": ["*"],
    },
)
