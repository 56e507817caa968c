"""A trained run as a function: pictures in, class probabilities or features out; the data set need not be there.

    model = trainers.load("output/pets/seed1")
    model.set_classes(["cat", "dog"])
    model.predict(["a.jpg", "b.jpg"])  # probabilities (2, 2)

Shape letters: N pictures, C classes, E embedding. docs/USE.md has more.
"""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from dassl.data.transforms import build_transform
from dassl.engine import TRAINER_REGISTRY
from torch import Tensor

from upt_clip.pictures import Picture, open_picture

from . import Prompts, PromptTrainer
from .clip.precision import choose_device
from .clip.prompted_clip import PromptedCLIP
from .runs.checkpoints import load_into
from .runs.identity import check_backbone
from .runs.run_reader import SavedRun, read_config, read_run


def load(
    run: str | Path,
    batch_size: int = 32,
    device: str | None = None,
    precision: str | None = None,
    backbone: str | None = None,
    epoch: int | None = None,
    any_backbone: bool = False,
) -> "Predictor":
    """A run's trained model, with the classes that it was tested on.

    Args:
        run: the run's output directory, or its prompts.safetensors alone, wherever that is.
        batch_size: pictures that the image tower takes at once.
        device: "cpu", "cuda", "cuda:1", ... (default: a GPU if there is one and the run's config allows it).
        precision: auto, fp32, fp16, bf16 or amp (default: the run's).
        backbone: a name or checkpoint instead of the run's MODEL.BACKBONE.NAME, e.g. where that file has moved to.
        epoch: the epoch whose Dassl checkpoint is taken (default: what the run's last test used).
        any_backbone: use the prompts on other weights than those that they were learned on.

    Raises:
        FileNotFoundError, ValueError: in one line, what is missing or does not fit.
    """
    run = Path(run)
    cfg = read_config(run)
    if backbone:
        cfg.MODEL.BACKBONE.NAME = str(backbone)
    if precision:
        cfg.TRAINER[cfg.TRAINER.NAME.upper()].PREC = precision
    cfg.freeze()
    saved = read_run(run, epoch)
    model = Predictor(cfg, saved, choose_device(device, cfg.USE_CUDA), batch_size)
    if not any_backbone:
        fix = "name the right file with backbone= (--backbone), or allow others with any_backbone=True (--any-backbone)"
        check_backbone(saved.backbone_sha256, model.trainer.clip_model, run, fix)
    return model


class Predictor:
    """Made by `load`. `classnames` are the present classes, `precision` and `device` what it computes with.

    `trainer` is the method's trainer without data or optimiser, `network` its `PromptedCLIP`, `transform` what turns a
    PIL image into the (3, height, width) tensor that the run was tested with.
    """

    def __init__(self, cfg, saved: SavedRun, device: torch.device, batch_size: int = 32):
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, choose 1 or more")
        self.cfg, self.device, self.batch_size = cfg, device, batch_size
        self.trainer = bare_trainer(cfg, device)
        self.classnames = list(saved.classnames)
        quiet = contextlib.redirect_stdout(io.StringIO())  # what is built is said by train.py, not here
        with quiet, torch.random.fork_rng(devices=[]):  # a learner's random start is thrown away
            self.transform = build_transform(cfg, is_train=False)
            self.trainer.model = self.trainer.build_network(self.classnames or ["class"])
        self.classes_are_fixed = self.trainer.grows_with_classes()
        if self.classes_are_fixed and not self.classnames:
            raise ValueError(
                f"{saved.source} does not say its classes, which {cfg.TRAINER.NAME} has weights for: let the run "
                "finish with its test, which writes them to prompts.safetensors"
            )
        what = f"{cfg.TRAINER.NAME} on {cfg.MODEL.BACKBONE.NAME}"
        load_into(self.network.learner, saved.tensors, saved.source, what)
        self.network.eval()

    @property
    def network(self) -> PromptedCLIP:
        return self.trainer.model

    @property
    def precision(self) -> str:
        return self.trainer.precision.name

    def set_classes(self, classnames: Sequence[str]) -> None:
        """Tells these classes apart from now on; any names will do, unless the method has weights for its own classes.

        Raises:
            ValueError: no, empty or repeated names, or other classes than those that a method is bound to.
        """
        names = [classnames] if isinstance(classnames, str) else list(classnames)
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise ValueError(f"class names are {names}: give a list of one or more words, e.g. ['cat', 'dog']")
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"class names are given twice: {', '.join(twice[:5])}")
        if self.classes_are_fixed and names != self.classnames:
            raise ValueError(
                f"{self.cfg.TRAINER.NAME} has learned weights for its {len(self.classnames)} classes "
                f"({_few(self.classnames)}) and takes no others ({_few(names)}): leave set_classes out, or train CoOp, "
                "VPT or UPT"
            )
        self.trainer.model = self.trainer.name_classes(self.network.learner, names).eval()
        self.classnames = names

    def predict(self, images: Picture | Iterable[Picture]) -> Tensor:
        """Probabilities (N, C), fp32 on the CPU, of one picture or several: paths, PIL images, or a mixture."""
        if not self.classnames:
            raise ValueError("the run does not say its classes: call set_classes([...]) first (--classes a,b,c)")
        logits = self._each_batch(self.trainer.model_inference, images)
        return logits.softmax(dim=-1) if len(logits) else logits.new_zeros(0, len(self.classnames))

    def image_features(self, images: Picture | Iterable[Picture]) -> Tensor:
        """Unit-length features (N, E), fp32 on the CPU; of the unprompted tower if prompts depend on the image."""
        features = self._each_batch(self.encode_images, images)
        return features if len(features) else features.new_zeros(0, self.trainer.clip_model.text_projection.shape[1])

    @torch.no_grad()
    def text_features(self) -> Tensor:
        """Unit-length features (C, E) of the sentences, fp32 on the CPU; ValueError if prompts depend on the image."""
        with self.trainer.precision.context():
            return self.network.text_features().float().cpu()

    def encode_images(self, tensors: Tensor) -> Tensor:
        """Unit-length features (B, E) of transformed pictures (B, 3, height, width) that are on the device."""
        prompts = Prompts() if self.network.image_specific else None
        with self.trainer.precision.context():
            return self.network.image_features(tensors, prompts)

    def tensors(self, images: Picture | Iterable[Picture]) -> Iterator[Tensor]:
        """Batches (B, 3, height, width) of transformed pictures on the device."""
        pictures = iter([images] if isinstance(images, Picture) else images)
        with ThreadPoolExecutor() as pool:  # decoding lets other threads run
            while chunk := list(itertools.islice(pictures, self.batch_size)):
                yield torch.stack(list(pool.map(self._tensor, chunk))).to(self.device)

    def _tensor(self, picture: Picture) -> Tensor:
        return self.transform(open_picture(picture))

    @torch.no_grad()
    def _each_batch(self, compute: Callable[[Tensor], Tensor], images) -> Tensor:
        rows = [compute(batch).float().cpu() for batch in self.tensors(images)]
        return torch.cat(rows) if rows else torch.empty(0)


def bare_trainer(cfg, device: torch.device) -> PromptTrainer:
    """The method's trainer with `cfg` and `device` alone: Dassl's own start would read the data set."""
    names = TRAINER_REGISTRY.registered_names()
    method = TRAINER_REGISTRY.get(cfg.TRAINER.NAME) if cfg.TRAINER.NAME in names else None
    if method is None or not issubclass(method, PromptTrainer):
        ours = [name for name in names if issubclass(TRAINER_REGISTRY.get(name), PromptTrainer)]
        raise ValueError(f'the run is of "{cfg.TRAINER.NAME}", which is no trainer here: {", ".join(ours)}')
    trainer = method.__new__(method)
    trainer.cfg, trainer.device = cfg, device
    return trainer


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
