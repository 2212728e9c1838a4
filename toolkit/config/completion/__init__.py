"""Names for completion, read without a library."""
