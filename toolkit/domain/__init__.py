"""The nouns of the toolkit as frozen dataclasses; standard library only, no I/O."""
