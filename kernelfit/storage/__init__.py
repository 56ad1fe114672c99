"""Panels of a factor in memory and on disk, the journal, HDF5 and atomic files. Knows nothing of solves."""
