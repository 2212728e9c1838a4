"""Bring trees of files to hosts: swarm, rsync, SSH stream."""
