"""Finding boards: over USB, by mDNS, in named networks, and where the user's ssh already goes."""
