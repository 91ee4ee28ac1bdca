"""Queries and documents in, the documents that fit each query best out."""
