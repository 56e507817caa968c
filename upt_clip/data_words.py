"""What a user's word for data means: the name of a data set, or a folder of pictures; and where its runs go.

A word is turned into what the rest of the project uses where it comes in, by `find`, and nowhere else.
"""

import ast
import hashlib
import os
from collections.abc import Container
from pathlib import Path

from .config_files import ZERO_SHOT, dataset_file, dataset_names
from .messages import did_you_mean

LAYOUT = (ZERO_SHOT, "base2new", "evaluation", "submitit")  # folders of an output folder that are no data set's
MARK = ".folder"  # in an output folder's NAME/: the path of the folder of pictures that has the name


def absolute(path: str | Path) -> Path:
    """From the root of the file system, without `..`; of a link the name stays."""
    whole = Path(os.path.expanduser(path)).absolute()
    return whole.resolve() if ".." in whole.parts else whole


def find(word: str, root: str | Path) -> str:
    """The data set that is meant: its YAML's name, or what DATASET.FOLDER is to be for a folder of pictures.

    A name is first a data set's, then a folder's below the data root, then one's below the working directory. What
    starts with `/`, `~`, `./` or `../` is a path. The folder is told from the root if it is below that, else whole.

    Raises:
        ValueError: there is no such data set and no such folder.
    """
    if word in dataset_names():
        return word
    base = absolute(root)
    is_path = word.startswith("~") or word.split("/")[0] in (".", "..")
    for start in [Path.cwd()] if is_path else [base, Path.cwd()]:
        folder = absolute(start / os.path.expanduser(word))
        if word and folder.is_dir():
            below = str(folder.relative_to(base)) if base in folder.parents else ""
            return below if below and below not in dataset_names() else str(folder)
    hint = "" if is_path or "/" in word.rstrip("/") else did_you_mean(word, dataset_names())  # a path is no name
    raise ValueError(
        f'unknown data set "{word}"{hint}: use one of '
        f"{', '.join(dataset_names())}, or a folder of pictures, by its path or its name below {base} (--root)"
    )


def arguments(dataset: str) -> tuple[list[str], list[str]]:
    """How train.py is told what `find` has found: options, and config keys with their values."""
    if dataset in dataset_names():
        return ["--dataset-config-file", str(dataset_file(dataset))], []
    try:  # a config takes the folder 2024 for a number, but '2024' for a text
        ast.literal_eval(dataset)
        dataset = repr(dataset)
    except (ValueError, SyntaxError):
        pass
    return [], ["DATASET.NAME", "FolderDataset", "DATASET.FOLDER", dataset]


def run_name(dataset: str, root: str | Path, output: Path, others: Container[str] = ()) -> str:
    """What the runs of a data set are called in an output folder: its YAML's name, or the folder's last name.

    Where another folder, a data set or one of `others` has that name, a hash of the folder's path is added.
    """
    if dataset in dataset_names():
        return dataset
    folder = absolute(root) / dataset
    name, mark = folder.name, output / folder.name / MARK
    taken = not name or name in LAYOUT or name in dataset_names() or name in others
    if mark.is_file() and not taken:
        there = os.fsdecode(mark.read_bytes())  # empty: it is being written
        # pictures below a data root that has moved are the same ones, as every data set's are
        taken = there not in ("", str(folder)) and (Path(dataset).is_absolute() or Path(there).is_dir())
    return f"{name}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}" if taken else name


def claim_name(dataset: str, root: str | Path, output: Path, name: str) -> None:
    """Notes in the output folder which folder of pictures has the name; called before its runs are started.

    Raises:
        ValueError: somebody else took the name since `run_name` said that it is free.
    """
    folder = absolute(root) / dataset
    (output / name).mkdir(parents=True, exist_ok=True)
    try:
        with open(output / name / MARK, "xb") as file:
            file.write(os.fsencode(folder))
    except FileExistsError:
        if run_name(dataset, root, output) != name:
            raise ValueError(f"another folder has just taken the name {name} in {output}: start again") from None


def check_apart(directory: str | Path, folder: Path) -> None:
    """Raises ValueError if a run's directory would lie in a folder of pictures, or be one."""
    inside, pictures = absolute(directory).resolve(), folder.resolve()
    if pictures == inside or pictures in inside.parents:
        raise ValueError(
            f"the run would be written to {directory}, which lies in the folder of pictures {folder}, and that is only "
            f"read: choose an output folder outside it, e.g. {folder}-runs"
        )
