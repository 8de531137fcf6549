"""The fleet: one supervised task a device, and a store of what is known."""
