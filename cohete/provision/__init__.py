"""What makes a fresh board a working one: steps that are checked before and after."""
