"""The endpoints: each authorises, converts, makes one call, and returns."""
