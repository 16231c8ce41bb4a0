"""Outlines of buildings that are known already: read, placed on the tiles, shifted, judged."""
