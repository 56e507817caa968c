"""What happens where a package is missing or does not fit: it is not needed, or one line says what to do."""

import pytest

from tests.environments.lacking import run, upt_clip
from tests.tools.tables.trees_of_runs import few_shot
from upt_clip import __version__, cli

HEAVY = ("torch", "torchvision", "numpy", "clip", "dassl", "sklearn", "scipy", "matplotlib", "jinja2", "PIL")
IMPORT_CLIP = "import sys, upt_clip, clip; clip.model, clip.clip.BICUBIC; assert {} == ('pkg_resources' in sys.modules)"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--version"], f"upt-clip {__version__}"),
        (["-h"], "usage: upt-clip COMMAND"),
        (["table", "-h"], "usage: upt-clip table"),
        (["table", "few_shot", "OUTPUT"], "51.0 ± 1.0"),
    ],
)
def test_light_commands_import_nothing_heavy(words, said, tmp_path):
    few_shot(tmp_path / "output", "dtd", [50.0, 51.0, 52.0])
    words = [tmp_path / "output" if word == "OUTPUT" else word for word in words]
    done = upt_clip(tmp_path, *words, lacking=HEAVY)
    assert (done.returncode, done.stderr) == (0, "") and said in done.stdout


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("torch", ["run", "-h"]),
        ("torch", ["predict", "run", "picture"]),
        ("matplotlib", ["plot", "OUTPUT"]),
        ("jinja2", ["report", "OUTPUT"]),
        ("submitit", ["reproduce", "few_shot", "--datasets", "emoji", "--launcher", "slurm"]),
    ],
)
def test_a_missing_package_is_one_line(package, words, tmp_path):
    few_shot(tmp_path / "output", "dtd", [50.0])
    words = [tmp_path / "output" if word == "OUTPUT" else word for word in words]
    done = upt_clip(tmp_path, *words, lacking=(package,))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and f"pip install {package}\n" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_no_user_can_put_right_keeps_its_traceback():
    def broken():
        from upt_clip.tools.use import no_such_tool  # noqa: F401

    def gone():
        import upt_clip.no_such_module  # noqa: F401

    for main in (broken, gone):
        with pytest.raises(ImportError):
            cli.status(main)
    assert cli.status(lambda: int("a")) == cli.USER_ERROR


@pytest.mark.parametrize("numpy", ["2.2.6", "1.26.4"])
@pytest.mark.parametrize("torch", ["2.1.2+cu121", "2.2.2", "2.3.0"])
def test_a_pytorch_that_is_too_old_for_numpy_2_says_so(torch, numpy, tmp_path):
    for name, version in (("torch", torch), ("numpy", numpy)):
        (tmp_path / f"{name}-{version}.dist-info").mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (tmp_path / f"{name}-{version}.dist-info/METADATA").write_text(text)
    done = upt_clip(tmp_path, "predict", tmp_path, "a.jpg", lacking=("torch",))  # neither is loaded, versions are read
    fits = numpy < "2" or torch >= "2.3"
    why = "the package torch is missing: pip install torch"
    wrong = f'PyTorch {torch} cannot work with NumPy {numpy}: pip install "numpy<2"'
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {why if fits else wrong}\n")
    code = "import sys; sys.modules['torch'] = sys; import upt_clip"  # one that is there already
    assert (wrong in run(tmp_path, "-c", code).stderr) is not fits


def test_clip_is_imported_where_setuptools_has_no_pkg_resources(tmp_path):
    done = run(tmp_path, "-c", IMPORT_CLIP.format(False), lacking=("pkg_resources", "setuptools"))
    assert (done.returncode, done.stderr) == (0, "")


def test_clip_is_imported_beside_a_pkg_resources_that_was_there_before(tmp_path):
    (tmp_path / "pkg_resources.py").write_text("import packaging.version\n")
    there = "import pkg_resources as theirs; "
    done = run(tmp_path, "-c", f"{there}{IMPORT_CLIP.format(True)}; assert sys.modules['pkg_resources'] is theirs")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pkg_resources_is_not_needed_and_not_imported(tmp_path):
    (tmp_path / "pkg_resources.py").write_text("raise SystemExit('pkg_resources warns of itself when it is imported')")
    done = run(tmp_path, "-c", IMPORT_CLIP.format(False))
    assert (done.returncode, done.stderr) == (0, "")
