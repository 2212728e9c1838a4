"""What to download, bundle, remove, and what a host lacks."""
