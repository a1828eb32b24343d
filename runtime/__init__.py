"""What runs the rooms: settings, clients, logging, the embedded servers."""
