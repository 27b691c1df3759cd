"""Other plugins in the same client, over a real server: what each of them sees, and what nobody else does."""
