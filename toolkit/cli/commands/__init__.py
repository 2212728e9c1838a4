"""The commands, a module for each: `COMMANDS` in `toolkit/cli/main.py` names them."""
