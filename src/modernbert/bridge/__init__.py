"""Other people's model objects: what lives in transformers runs on our kernels."""
