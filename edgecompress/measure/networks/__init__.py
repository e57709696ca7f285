"""What a network's graph alone tells, without any device: its size, its work, and how well it does."""
