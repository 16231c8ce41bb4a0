"""``python -m benchmarks``: every measurement, one after another."""

from benchmarks import engine, merging, tiles

engine.main([])
merging.main([])
tiles.main([])
