"""The detection engine: pixels in, damage footprints out. Knows no web framework."""

__version__ = "0.1.0"
