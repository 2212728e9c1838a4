"""Get files to where they are needed: pull, mirror, bundle."""
