"""How the towns of ``detection.synthetic`` are laid out and painted."""
