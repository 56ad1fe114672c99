"""The deep companion: the paper's randomization tests. Its modules import torch; the package itself does not."""
