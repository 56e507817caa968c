"""Installs the bundled `dassl`: `pip install ./toolbox`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "dassl/__init__.py").read_text(encoding="utf-8"))[1]

setup(
    name="dassl",
    version=VERSION,
    description="Clean-room implementation of the part of the Dassl API that CoOp-style projects use",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["dassl", "dassl.*"]),
    python_requires=">=3.10",
    install_requires=[
        "yacs",
        "torch>=2.1",
        "torchvision",
        "numpy",
        "Pillow",
        "scikit-learn",
        "tabulate",
        "tqdm",
        "tensorboard",
    ],
    extras_require={"download": ["gdown"]},
)
