"""Which number is made small, and how a batch is labelled for it."""
