"""Past the paper: norms and margins, kernels of a network, Rademacher complexity."""
