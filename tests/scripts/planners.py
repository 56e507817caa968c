"""Planners as real processes, with a stand-in for train.py that takes no time and says what it was asked."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Python imports this by itself at its start, in planners and in cluster jobs: train.py is all that is replaced.
SITE = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from upt_clip.tools.sweep import child
child.RUN = [sys.executable, os.environ["FAKE_TRAIN"]]
"""
TRAIN = """
import json, os, sys, time
from pathlib import Path
argv = sys.argv[1:]
def after(word, default=None):
    return argv[argv.index(word) + 1] if word in argv else default
out, data = Path(after("--output-dir")), Path(after("--dataset-config-file")).stem
def note(word):
    with open(os.environ["FAKE_LOG"], "a") as file:
        file.write(f"{word} {out} {os.environ.get('OMP_NUM_THREADS')} {os.environ.get('CUDA_VISIBLE_DEVICES')}\\n")
note("start")
if data in os.environ.get("FAKE_MISSING", "").split():
    print(f"error: no folder of {data}", file=sys.stderr)
    sys.exit(2)
print("epoch [1/2] batch [1/1]", flush=True)
time.sleep(float(os.environ.get("FAKE_SECONDS", 0)))
while "FAKE_GATE" in os.environ and not Path(os.environ["FAKE_GATE"]).exists():
    time.sleep(0.02)
if os.environ.get("FAKE_FAIL", "never") in str(out):
    raise ArithmeticError("the loss is no number")
classes = after("DATASET.SUBSAMPLE_CLASSES", "all")
out.mkdir(parents=True, exist_ok=True)
(out / "result.json").write_text(json.dumps({
    "trainer": after("--trainer"), "dataset": data, "seed": int(after("--seed")), "classes": classes,
    "shots": int(after("DATASET.NUM_SHOTS", -1)), "accuracy": 50.0 + int(after("--seed")), "backbone": "pocket",
    "train_seconds": 1.0, "trainable_parameters": 10, "n_test": 5, "n_classes": 2, "macro_f1": 1.0, "error_rate": 49.0,
}))
note("end")
"""


class Planner:
    """`upt-clip` with the stand-in, in a folder of its own."""

    def __init__(self, folder: Path):
        self.log, self.script = folder / "log", folder / "fake_train.py"
        self.script.write_text(TRAIN)
        (folder / "sitecustomize.py").write_text(SITE)
        self.output = folder / "out"

    def start(self, *words, **environment) -> subprocess.Popen:
        words = [*words, "--output", self.output, "--root", self.output / "none"]
        command = [sys.executable, "-m", "upt_clip", *map(str, words)]
        env = os.environ | {"PYTHONPATH": str(self.script.parent), "FAKE_TRAIN": str(self.script)}
        env |= {"FAKE_LOG": str(self.log), "OMP_NUM_THREADS": "1", "UPT_FORK": "0"} | environment
        env = {key: value for key, value in env.items() if value}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=ROOT, env=env, **pipes)

    def run(self, *words, **environment) -> subprocess.CompletedProcess:
        process = self.start(*words, **environment)
        stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def noted(self, word: str) -> Counter:
        """How often each run directory, relative to the output, was noted with a word: "start" or "end"."""
        lines = [line.split() for line in self.log.read_text().splitlines()] if self.log.is_file() else []
        return Counter(str(Path(line[1]).relative_to(self.output)) for line in lines if line[0] == word)

    def environments(self) -> list[tuple[str, str]]:
        """(OMP_NUM_THREADS, CUDA_VISIBLE_DEVICES) of each start."""
        return [tuple(line.split()[2:]) for line in self.log.read_text().splitlines() if line.startswith("start")]
