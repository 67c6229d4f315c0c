"""How fast this machine trains and translates, and how close to its limit: `nmt bench`."""
