"""Who a device is: identity, facts with their age, and why something is unknown."""
