"""Texts as they were gathered in, texts worth learning from out: what datatrove does for us."""
