"""Downloads, bundles, removal and the diagnosis of hosts."""
