"""Formulas on tensors: no weights, no state."""
