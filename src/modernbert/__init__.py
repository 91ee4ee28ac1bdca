"""The open ModernBERT stack: from raw text to a trained, evaluated, served encoder."""

__version__ = "0.1.0.dev0"
