"""Data sets from their public addresses: fetched, checked, and laid out as the sources read them."""
