"""``python -m benchmarks``: every measurement, one after another."""

from benchmarks import engine, tiles

engine.main([])
tiles.main([])
