"""What happens to a file, in the order in which it happens."""
