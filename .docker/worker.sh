#!/bin/sh
# What the GPU workers' image starts: Detectron2 is the engine where its wheel was there to install,
# unless UNOSAT_DETECTOR says otherwise.
set -eu
if [ -z "${UNOSAT_DETECTOR:-}" ] &&
  python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("detectron2") is None)'; then
  export UNOSAT_DETECTOR=detectron2
fi
exec "$@"
