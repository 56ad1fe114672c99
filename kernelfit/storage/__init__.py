"""Where the panels of a factor live. A tier is a place, not another algorithm."""
