"""How much two bots get through, for how long, and beside whom: `make load`, `make soak`, `make flood`."""
