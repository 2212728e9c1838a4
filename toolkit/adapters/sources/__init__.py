"""Directories as a source of models, and the files that say how large a model is."""
