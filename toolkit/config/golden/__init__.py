"""Files of golden prompts: their schema, their reading, and the contradictions that they may have."""
