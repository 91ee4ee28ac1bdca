"""Sets and protocols of mteb, the one place where it is imported."""
