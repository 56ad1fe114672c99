"""Iterative solution of K alpha = Y: K stored in single precision or formed anew, a preconditioner of low rank and
neighbours."""
