"""What a new release must prove: questions, and the verdict on their answers."""
