"""What commands share that change a release or its hosts."""
