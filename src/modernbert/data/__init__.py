"""Text in, packed batches out; it never knows a model."""
