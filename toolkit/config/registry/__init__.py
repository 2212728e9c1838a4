"""`model_registry.yaml`: its fields, its reading, and its edits."""
