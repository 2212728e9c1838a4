"""The content of the registry: models, versions, policy, objectives, and the sources of models."""
