"""What every trainer has: registered models, checkpoints, scalars, the order of the hooks."""

import os
from collections import OrderedDict

import torch
from dassl.utils import load_checkpoint, mkdir_if_missing, resume_from_checkpoint, save_checkpoint, tolist_if_not
from dassl.utils.torchtools import BEST_NAME

__all__ = ["TrainerBase"]


class TrainerBase:
    """Base of all trainers. Models are registered with their optimizer and scheduler; only those are saved."""

    def __init__(self):
        self._models = OrderedDict()
        self._optims = OrderedDict()
        self._scheds = OrderedDict()
        self._writer = None

    # Models -----------------------------------------------------------------------------------------------------

    def register_model(self, name: str = "model", model=None, optim=None, sched=None) -> None:
        """Put a model with its optimizer and scheduler under the trainer's care; `name` is its checkpoint folder."""
        for kind in ("model", "optim", "sched"):
            if f"_{kind}s" not in self.__dict__:
                raise AttributeError(f"Cannot assign {kind} before super().__init__() call")
        if name in self._models:
            raise AssertionError("Found duplicate model names")
        self._models[name] = model
        self._optims[name] = optim
        self._scheds[name] = sched

    def get_model_names(self, names=None) -> list[str]:
        """Return all registered names, or `names` (one or a list) after a check that they are registered."""
        if names is None:
            return list(self._models)
        names = tolist_if_not(names)
        for name in names:
            if name not in self._models:
                raise ValueError(f'No model is registered as "{name}"; the names are {list(self._models)}')
        return names

    def set_model_mode(self, mode: str = "train", names=None) -> None:
        """Switch registered models to train or eval mode."""
        if mode not in ("train", "test", "eval"):
            raise KeyError(f'The mode must be "train", "test" or "eval", but got "{mode}"')
        for name in self.get_model_names(names):
            self._models[name].train(mode == "train")

    def update_lr(self, names=None) -> None:
        """Step the schedulers: trainers call it in the last batch of each epoch."""
        for name in self.get_model_names(names):
            if self._scheds[name] is not None:
                self._scheds[name].step()

    def get_current_lr(self, names=None) -> float:
        """Return the learning rate of the first parameter group of the first optimizer."""
        return self._optims[self.get_model_names(names)[0]].param_groups[0]["lr"]

    # Checkpoints ------------------------------------------------------------------------------------------------

    def save_model(self, epoch: int, directory: str, is_best=False, val_result=None, model_name="") -> None:
        """Write a checkpoint of each registered model after the 0-based `epoch`."""
        for name in self.get_model_names():
            optim, sched = self._optims[name], self._scheds[name]
            state = {
                "state_dict": self._models[name].state_dict(),
                "epoch": epoch + 1,
                "optimizer": None if optim is None else optim.state_dict(),
                "scheduler": None if sched is None else sched.state_dict(),
                "val_result": None if val_result is None else float(val_result),
            }
            save_checkpoint(state, os.path.join(directory, name), is_best=is_best, model_name=model_name)

    def has_checkpoint(self, directory: str) -> bool:
        """Return whether `directory` has a checkpoint of each registered model."""
        names = self.get_model_names()
        return bool(names) and all(os.path.isfile(os.path.join(directory, name, "checkpoint")) for name in names)

    def resume_model_if_exist(self, directory: str) -> int:
        """Restore models, optimizers and schedulers if there are checkpoints; return the epoch to start with."""
        if not self.has_checkpoint(directory):
            print("No checkpoint found, train from scratch")
            return 0
        print(f"Found checkpoint at {directory} (will resume training)")
        for name in self.get_model_names():
            folder = os.path.join(directory, name)
            epoch = resume_from_checkpoint(folder, self._models[name], self._optims[name], self._scheds[name])
        return epoch

    def load_model(self, directory: str, epoch: int | None = None) -> None:
        """Load the best checkpoint of each model, or that of the 1-based `epoch`."""
        if not directory:
            reason = "no pretrained model is given (ignore this if it's done on purpose)"
            print(f"Note that load_model() is skipped as {reason}")
            return
        for name in self.get_model_names():
            path = os.path.join(directory, name, BEST_NAME if epoch is None else f"model.pth.tar-{epoch}")
            if not os.path.isfile(path):
                raise FileNotFoundError(f"No model at {path}")
            checkpoint = load_checkpoint(path)
            self._models[name].load_state_dict(checkpoint["state_dict"])
            result = checkpoint["val_result"]
            shown = "None" if result is None else f"{result:.1f}"
            print(f"Load {path} to {name} (epoch={checkpoint['epoch']}, val_result={shown})")

    # TensorBoard ------------------------------------------------------------------------------------------------

    def init_writer(self, log_dir: str) -> None:
        """Open the event file once; without the package tensorboard nothing is written."""
        if self._writer is not None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            print("No event files are written: the package tensorboard is not installed")
            return
        print(f"Initialize tensorboard (log_dir={log_dir})")
        mkdir_if_missing(log_dir)
        self._writer = SummaryWriter(log_dir=log_dir)

    def close_writer(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()

    def write_scalar(self, tag: str, scalar_value, global_step=None) -> None:
        """Write a value to the event file, if there is one."""
        if self._writer is not None:
            self._writer.add_scalar(tag, scalar_value, global_step)

    # Training ---------------------------------------------------------------------------------------------------

    def train(self, start_epoch: int, max_epoch: int) -> None:
        """Train; `before_train` may still move `self.start_epoch`."""
        self.start_epoch = start_epoch
        self.max_epoch = max_epoch
        self.before_train()
        for epoch in range(self.start_epoch, self.max_epoch):
            self.epoch = epoch
            self.before_epoch()
            self.run_epoch()
            self.after_epoch()
        self.after_train()

    def _hook(self) -> None:
        """Nothing; subclasses put in what they need."""

    before_train = after_train = before_epoch = after_epoch = _hook

    def _missing(self, *args, **kwargs):
        raise NotImplementedError

    run_epoch = test = parse_batch_train = parse_batch_test = forward_backward = model_inference = _missing

    def model_zero_grad(self, names=None) -> None:
        """Clear the gradients of the optimizers' parameters."""
        for name in self.get_model_names(names):
            if self._optims[name] is not None:
                self._optims[name].zero_grad()

    def detect_anomaly(self, loss) -> None:
        """Raise a FloatingPointError if the loss is infinite or NaN."""
        if not torch.isfinite(loss).all():
            raise FloatingPointError("Loss is infinite or NaN!")

    def model_backward(self, loss) -> None:
        """Check the loss, then compute the gradients."""
        self.detect_anomaly(loss)
        loss.backward()

    def model_update(self, names=None) -> None:
        """Step the optimizers."""
        for name in self.get_model_names(names):
            if self._optims[name] is not None:
                self._optims[name].step()

    def model_backward_and_update(self, loss, names=None) -> None:
        """Clear the gradients, compute them, step the optimizers."""
        self.model_zero_grad(names)
        self.model_backward(loss)
        self.model_update(names)
