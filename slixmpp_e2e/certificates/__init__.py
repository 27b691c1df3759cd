"""Floor 2: who somebody is: names in certificates, own keys, paths, pins and what is kept of them."""
