"""Names of commands, models, hosts: offered while a command is typed, and meant where nobody knows one."""
