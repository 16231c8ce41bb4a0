"""``python -m benchmarks``: every measurement, one after another."""

from benchmarks import engine

engine.main([])
