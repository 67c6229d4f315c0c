"""How fast this machine trains and translates, and how near to its limit: `nmt bench`."""
