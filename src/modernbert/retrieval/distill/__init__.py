"""A model that gives texts vectors in, a smaller one that gives nearly the same out."""
