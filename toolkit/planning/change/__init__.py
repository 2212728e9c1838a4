"""The plan that makes a release live, and the one that ends a half-done change."""
