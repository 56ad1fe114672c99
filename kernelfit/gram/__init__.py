"""The Gram matrix K: how it is cut into panels and tiles, and how one tile is computed."""
