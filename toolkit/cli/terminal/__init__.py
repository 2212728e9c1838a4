"""The terminal: output to it and to files, tables, screens, streams that break, questions for passwords."""
