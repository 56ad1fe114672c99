"""Grams of features that are never materialised: sums over blocks of filters, their file, weights of features."""
