"""What everything stands on: errors, files, addresses for randomness; it knows nothing of BERT."""
