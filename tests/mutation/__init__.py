"""Mutation testing: whether a test notices when a check is turned round or taken out (`make mutants`)."""
