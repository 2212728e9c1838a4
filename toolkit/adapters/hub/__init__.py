"""The Hub and mirrors of it: resolve, list, read and download."""
