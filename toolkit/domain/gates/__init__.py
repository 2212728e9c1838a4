"""What a new version must prove, and what was found: guards, golden prompts."""
