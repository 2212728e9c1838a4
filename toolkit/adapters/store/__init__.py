"""The store of the ops machine: snapshots whose files are kept once each, by digest."""
