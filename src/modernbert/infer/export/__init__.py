"""A model written for other runtimes: its graph, what proves it, and how it is run."""
