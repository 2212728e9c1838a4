"""The proofs of a new release: questions, and the verdict on their answers."""
