"""Training a recipe to its end: the loop, checkpoints, several runs at once, sweeps."""
