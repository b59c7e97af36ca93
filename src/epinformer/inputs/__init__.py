"""Readers of users' files: each turns one kind of file into a checked table, and nothing else."""
