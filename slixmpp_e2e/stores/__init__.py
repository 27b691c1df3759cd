"""Floor 3: the homes of what must survive a restart, and the way to directories and to keys in tokens."""
