"""All that reads what comes out of a room: messages, and values as bare data."""
