"""Coverage-guided fuzzing of the readers in targets.py (`pip install atheris`, or the extra `fuzz`).

    python -m tests.fuzz.run split --seconds 60      one target; the corpus grows in build/fuzz/split
    make fuzz                                        each target for FUZZ_SECONDS (default 60)

A finding ends the run with its traceback; the file that made it is build/fuzz/crash-..., for `--replay FILE`.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

FOLDER = Path("build/fuzz")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=("split", "config", "checkpoint", "pickle", "prompts"))
    parser.add_argument("--seconds", type=int, default=60, help="time limit (default: 60)")
    parser.add_argument("--replay", default="", metavar="FILE", help="call the target once, with this file")
    args = parser.parse_args()
    import atheris

    # torch's own Python code is not instrumented, which would take minutes: its branches are seen by their effects
    with atheris.instrument_imports(include=["datasets", "trainers.core", "json", "yaml", "pickle", "safetensors"]):
        from tests.fuzz import targets
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        if args.replay:
            targets.check(args.target, Path(args.replay).read_bytes(), Path(folder))
            return
        corpus = FOLDER / args.target
        corpus.mkdir(parents=True, exist_ok=True)
        for i, content in enumerate(targets.TARGETS[args.target][1]):
            (corpus / f"seed-{i}").write_bytes(content)
        limits = [f"-max_total_time={args.seconds}", "-timeout=20", "-rss_limit_mb=3000", "-max_len=20000"]
        places = [f"-artifact_prefix={FOLDER}/", str(corpus)]
        atheris.Setup([sys.argv[0], *limits, *places], lambda data: targets.check(args.target, data, Path(folder)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
