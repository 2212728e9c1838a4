"""The audit log of an ops machine."""
