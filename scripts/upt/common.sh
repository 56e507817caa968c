# Sourced by the scripts: goes to the project's folder and finds a Python that has what the project needs.
# The user's folder stays known as UPT_CWD, so that relative paths mean what they say.
set -euo pipefail
export UPT_CWD="${UPT_CWD:-$PWD}"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

has_torch() { "$1" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null; }

if [ -z "${PYTHON:-}" ]; then
  for candidate in "${VIRTUAL_ENV:-/none}/bin/python" "${CONDA_PREFIX:-/none}/bin/python" .venv/bin/python python3; do
    if has_torch "$candidate"; then PYTHON="$candidate"; break; fi
  done
fi
if [ -z "${PYTHON:-}" ]; then
  echo "error: no Python with PyTorch found: run 'make setup' in $PWD, or set PYTHON=/path/to/python" >&2
  exit 2
fi
