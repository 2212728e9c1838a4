"""Pure decisions: facts in, plans out. No clock, no I/O."""
