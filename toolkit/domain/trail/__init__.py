"""What is recorded and told of a command: the audit log, notices, channels, and what neither may say."""
