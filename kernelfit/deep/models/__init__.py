"""The networks, one family a file, and `build`, which makes one by name."""
