"""Package of the trainers and data sets, installed below one name of its own, `upt`.

`import upt.trainers, upt.datasets` registers them with Dassl; nothing called `datasets` is put beside Hugging Face's.
Tools and scripts are used from a checkout. `dassl` is no requirement, since Dassl.pytorch is not on PyPI: `make setup`
installs toolbox/ where it is missing.
"""

from pathlib import Path

ROOT = Path(__file__).parent
NUMBERS = ["numpy", "Pillow>=9.1", "pyyaml", "safetensors>=0.4", "tabulate>=0.9", "tqdm>=4.60", "yacs>=0.1.8"]
CLIP = ["clip-anytorch>=2.5", "setuptools>=77.0.3,<81"]  # that package still imports pkg_resources
TOOLBOX = ["scikit-learn>=1.2", "tensorboard>=2.10", "scipy>=1.9"]
REQUIRED = ["torch>=2.1", "torchvision>=0.16", *CLIP, *NUMBERS, *TOOLBOX]
PICTURES = [
    "jinja2>=3.1",
    "matplotlib>=3.7",
]  # upt-clip plot, upt-clip report, upt-clip variance --plot
EXPORT = ["onnx>=1.14", "onnxruntime>=1.16"]  # upt-clip export --format onnx
CLUSTER = ["submitit>=1.5"]  # scripts/upt/reproduce.sh --launcher slurm
FUZZ = ["atheris>=2.3"]  # make fuzz
DEVELOPMENT = [*PICTURES, "pytest>=7.4", "ruff~=0.17.0", "hypothesis>=6", "playwright>=1.40"]
DATA = ["assets", "assets.emoji", "assets.pocket", "configs"]

if __name__ == "__main__":
    from setuptools import setup  # here, so that tools/install.py can read the lists above without it

    setup(
        name="upt-clip",
        version="0.1.0",
        description="Unified Prompt Tuning (arXiv 2210.07225) for CLIP, beside CoOp and VPT, as a Dassl plug-in",
        long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").is_file() else "",
        long_description_content_type="text/markdown",
        license="MIT",
        python_requires=">=3.10",
        install_requires=REQUIRED,
        extras_require={"pictures": PICTURES, "slurm": CLUSTER, "export": EXPORT, "fuzz": FUZZ, "dev": DEVELOPMENT},
        py_modules=["dassl_compat", "upt_cache", "upt_files"],
        packages=["upt.trainers", "upt.trainers.core", "upt.datasets", *(f"upt.{name}" for name in DATA)],
        package_dir={
            "upt.trainers": "trainers",
            "upt.datasets": "datasets",
            **{f"upt.{name}": name.replace(".", "/") for name in DATA},
        },
        package_data={
            "upt.assets": ["*.md", "licenses/*"],
            "upt.assets.emoji": ["*.json", "*/*.png"],
            "upt.assets.pocket": ["*.pt"],
            "upt.configs": ["*/*.yaml", "*/*/*.yaml"],
            "upt.datasets": ["*.csv"],
        },
    )
