"""The HTTP side: each endpoint authorises, converts, makes one call, returns."""
