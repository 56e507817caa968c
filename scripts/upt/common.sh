# Sourced by the scripts: finds a Python that has what the project needs, and the project's package for it.
set -euo pipefail
project="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
export PYTHONPATH="$project${PYTHONPATH:+:$PYTHONPATH}"

has_torch() { "$1" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null; }

if [ -z "${PYTHON:-}" ]; then
  for candidate in "${VIRTUAL_ENV:-/none}/bin/python" "${CONDA_PREFIX:-/none}/bin/python" "$project/.venv/bin/python" python3; do
    if has_torch "$candidate"; then PYTHON="$candidate"; break; fi
  done
fi
if [ -z "${PYTHON:-}" ]; then
  echo "error: no Python with PyTorch found: run 'make setup' in $project, or set PYTHON=/path/to/python" >&2
  exit 2
fi
