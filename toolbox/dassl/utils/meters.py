"""Running averages."""

from collections import defaultdict

import torch

__all__ = ["AverageMeter", "MetricMeter"]


class AverageMeter:
    """The last value and the average of a series; with `ema`, an exponential moving average from 0."""

    def __init__(self, ema: bool = False):
        self.ema = ema
        self.reset()

    def reset(self):
        self.val = self.avg = self.sum = self.count = 0

    def update(self, val, n: int = 1):
        if isinstance(val, torch.Tensor):
            val = val.item()
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = 0.9 * self.avg + 0.1 * val if self.ema else self.sum / self.count


class MetricMeter:
    """An AverageMeter per named metric; `str()` gives `loss 0.5000 (1.0000) acc 100.0000 (75.0000)`."""

    def __init__(self, delimiter: str = " "):
        self.meters = defaultdict(AverageMeter)
        self.delimiter = delimiter

    def update(self, metrics: dict | None):
        """Add one value per metric; None is ignored, anything but a dict is a TypeError."""
        if metrics is None:
            return
        if not isinstance(metrics, dict):
            raise TypeError("Input to MetricMeter.update() must be a dictionary")
        for name, value in metrics.items():
            self.meters[name].update(value)

    def __str__(self):
        return self.delimiter.join(f"{name} {m.val:.4f} ({m.avg:.4f})" for name, m in self.meters.items())
