"""How good a model is: measured on text it has not seen, and shown on a page."""
