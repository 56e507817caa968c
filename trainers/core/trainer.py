"""`PromptTrainer`: all that prompt methods share. A method adds a learner and its class sentences, nothing else."""

import contextlib
import io
import time
from pathlib import Path

import torch
from dassl.engine import TrainerX
from dassl.metrics import compute_accuracy
from dassl.optim import build_lr_scheduler, build_optimizer
from torch import Tensor, nn

from upt_clip import distributed

from .clip.checks import check_image_size
from .clip.encoders import CLIPModule
from .clip.loader import load_clip
from .clip.precision import choose_precision
from .clip.prompted_clip import PromptedCLIP
from .clip.sentences import Sentences
from .runs import checkpoints, report, resume, run_dir, run_reader
from .runs.config_check import check_config
from .runs.identity import check_backbone, in_result
from .testing import evaluation
from .training import anomaly, data_path, loop
from .training.accumulate import backward
from .training.compiling import compile_towers
from .training.memory import fit_to_memory, keep_freed_memory, out_of_memory_explained


class PromptTrainer(TrainerX):
    """A Dassl trainer for any method that learns prompts for a frozen CLIP.

    A method's class has `DEFAULTS` (its node of the config, `cfg.TRAINER.<NAME>`) and two methods, `build_learner` and
    `class_sentences`. Learnables are fp32 and are all that is trained, saved and loaded.
    """

    DEFAULTS: dict = {"PREC": "auto"}
    class_specific = False  # whether the learner's text prompts have a class axis
    any_backbone = False  # whether `load_model` takes prompts that were learned on other weights than the loaded ones
    parallel: nn.Module | None = None  # the model with its gradients averaged, where several processes train it
    image_specific = False  # whether they depend on the image; the learner's forward then takes the image features

    def build_learner(self, clip_model: CLIPModule, n_classes: int) -> nn.Module:
        """The module whose `forward()` returns `Prompts`; called before `class_sentences`, with CLIP in fp32."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it learns")

    def class_sentences(self, classnames: list[str]) -> Sentences:
        """One sentence a class, with as many slots as the learner has text prompts."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it names a class")

    @property
    def options(self):
        """This trainer's own node of the config."""
        return self.cfg.TRAINER[type(self).__name__.upper()]

    def check_cfg(self, cfg) -> None:
        """Dassl calls it before anything is loaded."""
        check_config(cfg)
        run_dir.check_config_there(cfg)

    def build_data_loader(self) -> None:
        super().build_data_loader()
        data_path.lasting(self)

    def build_model(self) -> None:
        cfg, classnames = self.cfg, self.dm.dataset.classnames
        self.model = self.build_network(classnames)
        if cfg.OUTPUT_DIR:
            there = Path(cfg.OUTPUT_DIR)
            check_backbone(in_result(there), self.clip_model, there, "choose another OUTPUT_DIR or delete that one")
        learner = self.model.learner
        n_frozen = sum(p.numel() for p in self.model.parameters() if not p.requires_grad)
        self.scaler = self.precision.loss_scaler()
        self.train_seconds = 0.0
        print(report.trainables(self.trainable, n_frozen))
        keep_freed_memory(self.device)
        fit_to_memory(self.model, cfg, self.device)
        if cfg.TRAIN.COMPILE:
            compile_towers(self.model, self.device)
        if self.trainable:
            self.optim = build_optimizer(learner, cfg.OPTIM)
            self.sched = build_lr_scheduler(self.optim, cfg.OPTIM)
            self.register_model(checkpoints.FOLDER, learner, self.optim, self.sched)

    def build_network(self, classnames: list[str]) -> PromptedCLIP:
        """CLIP with this method's learner, on the device; needs `cfg` and `device` alone, so no data set."""
        name = self.cfg.MODEL.BACKBONE.NAME
        print(f"Loading CLIP (backbone: {name})")
        self.clip_model = load_clip(name)
        check_image_size(self.cfg, self.clip_model)
        self.precision = choose_precision(self.options.PREC, self.device)
        learner = self.build_learner(self.clip_model, len(classnames))
        self.precision.cast(self.clip_model)
        return self.name_classes(learner, classnames)

    def name_classes(self, learner: nn.Module, classnames: list[str]) -> PromptedCLIP:
        """The loaded CLIP with a learner that `build_learner` made, for any classes that the learner fits."""
        sentences = self.class_sentences(classnames)
        model = PromptedCLIP(self.clip_model, learner, sentences, self.class_specific, self.image_specific)
        return model.to(self.device)

    @property
    def trainable(self) -> dict[str, nn.Parameter]:
        """Learnable tensors by name; empty for zero-shot CLIP."""
        return dict(self.model.learner.named_parameters())

    # -- training -------------------------------------------------------------------------------------------------

    @out_of_memory_explained()
    def train(self) -> None:
        """Trains and tests; a method without learnables is tested alone."""
        run_dir.claim(self.cfg)  # not when it is built: a config that does not work must not bar the one that does
        if self.trainable:
            super().train()
        else:
            self.test()

    def run_epoch(self) -> None:
        loop.run_epoch(self)

    def parse_batch_train(self, batch: dict) -> tuple[Tensor, Tensor]:
        return self.parse_batch_test(batch)

    def parse_batch_test(self, batch: dict) -> tuple[Tensor, Tensor]:
        return tuple(batch[key].to(self.device, non_blocking=True) for key in ("img", "label"))

    def forward_backward(self, batch: dict) -> dict[str, Tensor]:
        """One step. The numbers that it returns stay on the device, so that nothing waits for them."""
        images, labels = self.parse_batch_train(batch)
        weight = batch.get("weight", 1.0)  # of this process's share of the batch
        self.model_zero_grad()
        loss, logits = backward(self, images, labels, self.cfg.TRAINER.ACCUMULATE, weight)
        self.scaler.step(self.optim)
        self.scaler.update()
        if self.batch_idx + 1 == self.num_batches:
            self.update_lr()  # Dassl leaves the schedule to the trainer: once an epoch
        return {"loss": loss, "acc": weight * compute_accuracy(logits, labels)[0]}

    def before_train(self) -> None:
        super().before_train()
        self.parallel = distributed.parallel(self.model)
        if self.output_dir and not self.start_epoch:  # killed in the first epoch, it starts with the same numbers
            resume.save(self, Path(self.output_dir), 0)

    def before_epoch(self) -> None:
        self._epoch_start = time.perf_counter()

    def after_epoch(self) -> None:
        self.train_seconds += time.perf_counter() - self._epoch_start
        anomaly.check_learned(self)
        distributed.check_same(self.trainable.values())
        super().after_epoch()
        if self.output_dir:
            resume.save(self, Path(self.output_dir), self.epoch + 1)

    def after_train(self) -> None:
        super().after_train()
        if self.output_dir:
            resume.remove(Path(self.output_dir))

    def resume_model_if_exist(self, directory: str) -> int:
        """Number of epochs that are done: from our resume point, bit for bit, or else from a Dassl checkpoint."""
        done = resume.restore(self, Path(directory)) if directory else None
        if done is None:
            done = super().resume_model_if_exist(directory)
            self.train_seconds = run_dir.finished_seconds(Path(directory), done)
        else:
            print(f"Resuming {directory} after epoch {done}")
        done = resume.follow_first(self, done)
        self.epoch = max(done - 1, 0)
        return done

    def save_model(self, epoch: int, directory: str, *args, **kwargs) -> None:
        with checkpoints.disk_errors(Path(directory)):
            super().save_model(epoch, directory, *args, **kwargs)

    # -- evaluation -----------------------------------------------------------------------------------------------

    @out_of_memory_explained()
    @torch.no_grad()
    def test(self, split: str | None = None) -> float:
        """Accuracy in percent on a split ("val" or "test"); a test writes result.json and predictions.csv."""
        return evaluation.test(self, split or self.cfg.TEST.SPLIT)

    def model_inference(self, images: Tensor) -> Tensor:
        with self.precision.context():
            features = self.model.image_features(images)
        return self.classify(features)

    def classify(self, features: Tensor) -> Tensor:
        """Logits (B, C) of images whose features (B, E) are known; a method with a head of its own overrides it."""
        with self.precision.context():
            return self.model.classify(features)

    @property
    def features_are_plain(self) -> bool:
        """Whether the logits of a test come from what CLIP's own image tower says, whatever was learned."""
        return type(self).model_inference is PromptTrainer.model_inference and self.model.images_are_unprompted

    @property
    def epochs_done(self) -> int:
        """Epochs behind the learner's present state (after `load_model`, those of the checkpoint)."""
        return getattr(self, "_loaded_epoch", None) or self.epoch + 1

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def load_model(self, directory: str, epoch: int | None = None) -> None:
        """Loads a run's learned prompts, also for other classes.

        Args:
            directory: the run's, of whose checkpoints model-best, the given epoch's, or else the last is taken; or a
                prompts.safetensors.

        Raises:
            FileNotFoundError: no such checkpoint.
            ValueError: the file holds other tensors than this trainer learns, or weights for other classes, or the run
                was trained on another backbone.
        """
        if not self.trainable:
            return
        if not directory:
            print("Note that load_model() is skipped as no pretrained model is given")
            return
        source = Path(directory)
        path, state, self._loaded_epoch = distributed.from_first(lambda: run_reader.read_learned(source, epoch))
        if not self.any_backbone:
            fix = "name the right file with --backbone, or allow others with --any-backbone"
            check_backbone(run_reader.trained_on(source), self.clip_model, source, fix)
        what = f"{type(self).__name__} on {self.cfg.MODEL.BACKBONE.NAME}"
        checkpoints.load_into(self.model.learner, state, path, what)
        if self.grows_with_classes():
            run_reader.check_classes(source, self.model.names)
        print(f'Loading weights to {checkpoints.FOLDER} from "{path}" (epoch = {self._loaded_epoch})')

    def grows_with_classes(self) -> bool:
        """Whether the learner's tensors have other shapes with one class more: then it is bound to its classes."""
        with contextlib.redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):  # it is thrown away
            other = self.build_learner(self.clip_model, len(self.model.names) + 1)
        shapes = [[t.shape for t in learner.state_dict().values()] for learner in (self.model.learner, other)]
        return shapes[0] != shapes[1]
