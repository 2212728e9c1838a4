"""Runs on the host itself, under its own Python >= 3.9, standard library only; see __main__."""
