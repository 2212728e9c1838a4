"""The proofs of a new version, and their findings: guards, golden prompts."""
