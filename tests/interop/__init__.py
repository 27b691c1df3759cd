"""What we write is read by others, and what others write is read by us."""
