"""Finite-sample expressivity: explicit ReLU networks that fit any labels exactly (Theorem 1, Corollary 1)."""

from kernelfit.expressivity.construct import fit
from kernelfit.expressivity.interpolant import Lemma1, biases, hinge_weights, lemma1
from kernelfit.expressivity.network import Layer, Network

__all__ = ["Layer", "Lemma1", "Network", "biases", "fit", "hinge_weights", "lemma1"]
