"""A model and pairs of texts in, a model that finds or orders documents out."""
